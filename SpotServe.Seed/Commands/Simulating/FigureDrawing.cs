using System.Globalization;
using System.Text.RegularExpressions;
using ScottPlot;
using ScottPlot.TickGenerators;
using SkiaSharp;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>Draws figures with ScottPlot. The only one to touch it: its libraries are loaded when a figure is
/// written, and at no other time.</summary>
internal static partial class FigureDrawing
{
    private const int Width = 860, Height = 420, HeightBelow = 190;
    private const int FewPoints = 20, MarkRows = 3;
    private const float FontSize = 12, LeftSize = 72, RightSize = 24, BottomSize = 46, LegendSize = 34;

    /// <summary>Looks alike in all pictures, and in the SVG, whose reader brings the font.</summary>
    private static readonly string[] Fonts = ["DejaVu Sans", "Liberation Sans", "Noto Sans", "Arial", "Helvetica"];

    /// <summary>The picture as SVG, from "&lt;svg" on.</summary>
    public static string Svg(FigureData figure)
    {
        var height = HeightOf(figure);
        using var stream = new MemoryStream();
        using (var canvas = SKSvgCanvas.Create(new SKRect(0, 0, Width, height), stream))
            Render(figure, canvas);
        var text = System.Text.Encoding.UTF8.GetString(stream.ToArray());
        var root = text.IndexOf("<svg", StringComparison.Ordinal);
        text = Tags().Replace(text[(root + "<svg".Length)..], tag => Decimals().Replace(tag.Value, "$1"));
        text = Glyphs().Replace(text, Word);
        // With a view box it takes the width that a page gives it.
        return FormattableString.Invariant($"<svg viewBox=\"0 0 {Width} {height}\"") + text;
    }

    [GeneratedRegex("<[^>]*>")]
    private static partial Regex Tags();

    /// <summary>A tenth of a pixel is all that is seen, and a hundredth of what lies between 0 and 1.</summary>
    [GeneratedRegex(@"(\d\d\.\d|(?<!\d)\d\.\d\d)\d+")]
    private static partial Regex Decimals();

    [GeneratedRegex("font-family=\"[^\"]*\" x=\"([^\"]*)\" y=\"([^\"]*)\"")]
    private static partial Regex Glyphs();

    /// <summary>Glyphs are placed one by one for this machine's font, which the reader's need not have: a word begins
    /// where its first glyph is and is as wide as they are, whatever the font.</summary>
    private static string Word(Match glyphs)
    {
        var xs = glyphs.Groups[1].Value.Split([',', ' '], StringSplitOptions.RemoveEmptyEntries)
            .Select(x => double.Parse(x, CultureInfo.InvariantCulture)).ToArray();
        var y = glyphs.Groups[2].Value.Split([',', ' '], StringSplitOptions.RemoveEmptyEntries).FirstOrDefault("0");
        var start = xs.Length > 0 ? xs[0] : 0;
        var word = FormattableString.Invariant($"font-family=\"sans-serif\" x=\"{start:0.#}\" y=\"{y}\"");
        if (xs.Length < 2) return word;
        // The last glyph's own width is not told; it has the others' on average.
        var width = (xs[^1] - start) * xs.Length / (xs.Length - 1);
        return word + FormattableString.Invariant($" textLength=\"{width:0.#}\" lengthAdjust=\"spacingAndGlyphs\"");
    }

    /// <summary>The same picture as PNG.</summary>
    public static byte[] Png(FigureData figure)
    {
        using var surface = SKSurface.Create(new SKImageInfo(Width, HeightOf(figure)));
        Render(figure, surface.Canvas);
        using var image = surface.Snapshot();
        using var data = image.Encode(SKEncodedImageFormat.Png, 100);
        return data.ToArray();
    }

    private static int HeightOf(FigureData figure) => figure.Below is null ? Height : Height + HeightBelow;

    private static void Render(FigureData figure, SKCanvas canvas)
    {
        var installed = SKFontManager.Default.FontFamilies.ToHashSet(StringComparer.OrdinalIgnoreCase);
        if (Array.Find(Fonts, installed.Contains) is { } font) ScottPlot.Fonts.Default = font;
        var last = figure.Below?.Lines.Max(line => line.Points[^1].X);
        var all = new Multiplot(Upper(figure, last)) { Layout = new Stacked() };
        if (figure.Below is { } steps) all.AddPlot(Lower(steps, figure.X, last!.Value));
        all.Render(canvas, new PixelRect(0, Width, HeightOf(figure), 0));
    }

    /// <summary>The upper plot is as high as one alone, and the steps below it are lower.</summary>
    private sealed class Stacked : IMultiplotLayout
    {
        public PixelRect[] GetSubplotRectangles(SubplotCollection subplots, PixelRect figureRect) => subplots.Count == 1
            ? [figureRect]
            : [new PixelRect(0, Width, Height, 0), new PixelRect(0, Width, figureRect.Bottom, Height)];
    }

    /// <param name="last">Where the horizontal axis ends; null where its values say.</param>
    private static Plot Upper(FigureData figure, double? last)
    {
        var points = figure.Series.SelectMany(series => series.Points).ToList();
        var x = last is { } end
            ? new FigureAxis(IsLogarithmic: false, 0, end)
            : FigureAxis.Of(points.Select(point => point.X), isFromZero: false);
        var y = figure.IsShare
            ? new FigureAxis(IsLogarithmic: false, 0, 1.03)
            : FigureAxis.Of(points.Select(point => point.Y), isFromZero: true);
        var plot = Empty(figure.Y, figure.Series.Length > 1);
        foreach (var series in figure.Series) Add(plot, series, x, y);
        Set(plot, plot.Axes.Bottom, x);
        Set(plot, plot.Axes.Left, y);
        plot.Axes.SetLimits(x.Least, x.Most, y.Least, y.Most);
        plot.XLabel(figure.X, FontSize);
        var area = (Width: Width - LeftSize - RightSize, Height: Height - BottomSize - LegendSize);
        var named = points.Where(point => point.Label is not null).ToList();
        var places = FigureLabels.OfPoints(
            named.ConvertAll(point => (
                (x.At(point.X) - x.Least) / (x.Most - x.Least) * area.Width,
                (y.Most - y.At(point.Y)) / (y.Most - y.Least) * area.Height,
                point.Label)),
            area.Width);
        foreach (var (index, isRight, isAbove) in places)
        {
            var text = plot.Add.Text(named[index].Label!, x.At(named[index].X), y.At(named[index].Y));
            (text.LabelFontSize, text.OffsetX, text.OffsetY) = (FontSize - 1, isRight ? 5 : -5, isAbove ? -5 : 5);
            text.LabelAlignment = (isRight, isAbove) switch
            {
                (true, true) => Alignment.LowerLeft,
                (true, false) => Alignment.UpperLeft,
                (false, true) => Alignment.LowerRight,
                _ => Alignment.UpperRight,
            };
        }

        return plot;
    }

    private static Plot Lower(FigureSteps steps, string xLabel, double last)
    {
        var plot = Empty(steps.Y, steps.Lines.Length > 1);
        var top = Math.Max(1, steps.Lines.Max(line => line.Points.Max(point => point.Y)));
        var x = new FigureAxis(IsLogarithmic: false, 0, last);
        var y = new FigureAxis(IsLogarithmic: false, 0, top * (steps.Marks.IsEmpty ? 1.1 : 1.7));
        foreach (var line in steps.Lines) Add(plot, line, x, y);
        var step = Math.Max(1, (int)Math.Ceiling(top / 5));
        plot.Axes.Left.TickGenerator = new NumericManual(
            [.. Enumerable.Range(0, ((int)top / step) + 1).Select(i => new Tick(i * step, $"{i * step}"))]);
        plot.Axes.SetLimits(x.Least, x.Most, y.Least, y.Most);
        plot.XLabel(xLabel, FontSize);
        var width = Width - LeftSize - RightSize;
        var rows = FigureLabels.OfLines(
            [.. steps.Marks.Select(mark => (mark.X / last * width, mark.Text))], width, MarkRows);
        for (var i = 0; i < steps.Marks.Length; i++)
        {
            var mark = steps.Marks[i];
            var at = plot.Add.VerticalLine(mark.X);
            (at.LineWidth, at.LinePattern, at.LineColor) = (1, LinePattern.Dotted, Colors.Gray);
            if (rows[i] is not var (row, isRight)) continue;
            var text = plot.Add.Text(mark.Text, mark.X, top * (1.66 - (0.2 * row)));
            (text.LabelFontSize, text.OffsetX) = (FontSize - 2, isRight ? 3 : -3);
            text.LabelAlignment = isRight ? Alignment.UpperLeft : Alignment.UpperRight;
        }

        return plot;
    }

    /// <summary>Plots above each other have the same edges left and right, so that their times agree.</summary>
    private static Plot Empty(string yLabel, bool hasLegend)
    {
        var plot = new Plot();
        plot.Add.Palette = new ScottPlot.Palettes.ColorblindFriendly();
        plot.YLabel(yLabel, FontSize);
        (plot.Axes.Left.MinimumSize, plot.Axes.Left.MaximumSize) = (LeftSize, LeftSize);
        (plot.Axes.Right.MinimumSize, plot.Axes.Right.MaximumSize) = (RightSize, RightSize);
        plot.HideLegend();
        if (!hasLegend) return plot;
        // Beside the data, which it would cover somewhere.
        var legend = plot.ShowLegend(Edge.Top);
        legend.Padding = new PixelPadding(left: 0, right: 0, bottom: 2, top: 8);
        (legend.Legend.OutlineWidth, legend.Legend.ShadowColor) = (0, Colors.Transparent);
        return plot;
    }

    private static void Set(Plot plot, IAxis axis, FigureAxis scale)
    {
        if (!scale.IsLogarithmic) return;
        axis.TickGenerator = new NumericManual(
            [.. scale.Ticks().Select(tick => new Tick(tick.At, tick.Label ?? "", isMajor: tick.Label is not null))]);
        plot.Grid.MajorLineColor = Colors.Black.WithOpacity(0.1);
    }

    private static void Add(Plot plot, FigureSeries series, FigureAxis x, FigureAxis y)
    {
        var xs = series.Points.Select(point => x.At(point.X)).ToArray();
        var ys = series.Points.Select(point => y.At(point.Y)).ToArray();
        var drawn = series.Style == FigureStyle.Points ? plot.Add.ScatterPoints(xs, ys) : plot.Add.Scatter(xs, ys);
        drawn.MarkerSize = series.Style switch
        {
            FigureStyle.Points => series.Points.Length > FewPoints ? 3 : 9,
            FigureStyle.Both => 7,
            _ => 0,
        };
        if (series.Style == FigureStyle.Steps) drawn.ConnectStyle = ConnectStyle.StepHorizontal;
        drawn.LineWidth = series.Style == FigureStyle.Points ? 0 : 1.5f;
        drawn.LegendText = series.Name;
    }
}
