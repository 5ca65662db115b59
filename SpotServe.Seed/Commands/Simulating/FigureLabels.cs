using System.Collections.Immutable;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>Finds places for words in a picture, so that none covers another: what finds none is left out.</summary>
internal static class FigureLabels
{
    /// <summary>Pixels of a letter and of a line, a little more than they are.</summary>
    private const double Letter = 7, Line = 14;

    /// <summary>Pixels between a point and its label.</summary>
    private const double Gap = 5;

    /// <summary>Labels of points: to the right and above, or on another side.</summary>
    /// <param name="points">In pixels, y downwards; those without a label are not written over either.</param>
    /// <param name="width">Of the picture: no label crosses its edges.</param>
    /// <returns>Index of a point, and whether its label is to the right and above; in the points' order.</returns>
    public static ImmutableArray<(int Index, bool IsRight, bool IsAbove)> OfPoints(
        IReadOnlyList<(double X, double Y, string? Label)> points, double width)
    {
        var taken = points.Select(point => new Box(point.X - 3, point.Y - 3, point.X + 3, point.Y + 3)).ToList();
        var found = ImmutableArray.CreateBuilder<(int, bool, bool)>();
        for (var i = 0; i < points.Count; i++)
        {
            if (points[i].Label is not { } label) continue;
            foreach (var (isRight, isAbove) in Sides)
            {
                var box = At(points[i].X, points[i].Y, label, isRight, isAbove);
                if (box.Left < 0 || box.Top < 0 || box.Right > width || taken.Exists(box.Meets)) continue;
                taken.Add(box);
                found.Add((i, isRight, isAbove));
                break;
            }
        }

        return found.ToImmutable();
    }

    private static readonly (bool IsRight, bool IsAbove)[] Sides =
        [(true, true), (true, false), (false, true), (false, false)];

    /// <summary>Labels of vertical lines, in rows above each other.</summary>
    /// <param name="marks">In pixels, from the left.</param>
    /// <returns>For each label its row from the top, and whether it is to the right of its line; null where no row has
    /// room.</returns>
    public static ImmutableArray<(int Row, bool IsRight)?> OfLines(
        IReadOnlyList<(double X, string Text)> marks, double width, int rows)
    {
        var ends = new double[rows];
        return
        [
            .. marks.Select(mark =>
            {
                var length = (mark.Text.Length * Letter) + Gap;
                var isRight = mark.X + length <= width;
                var start = isRight ? mark.X : mark.X - length;
                var row = Array.FindIndex(ends, end => end <= start);
                if (row < 0) return ((int, bool)?)null;
                ends[row] = start + length;
                return (row, isRight);
            }),
        ];
    }

    private static Box At(double x, double y, string label, bool isRight, bool isAbove)
    {
        var left = isRight ? x + Gap : x - Gap - (label.Length * Letter);
        var top = isAbove ? y - Gap - Line : y + Gap;
        return new Box(left, top, left + (label.Length * Letter), top + Line);
    }

    private readonly record struct Box(double Left, double Top, double Right, double Bottom)
    {
        public bool Meets(Box other) =>
            Left < other.Right && other.Left < Right && Top < other.Bottom && other.Top < Bottom;
    }
}
