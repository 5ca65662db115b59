using System.Collections.Immutable;
using System.Text;
using SpotServe.Seed.Dashboard.Live;

namespace SpotServe.Seed.Dashboard.Components;

/// <summary>One line of a chart.</summary>
/// <param name="Style">Class that gives its colour: a, b or c.</param>
/// <param name="Value">Null where there is nothing to draw.</param>
public sealed record ChartLine(string Name, string Style, Func<LoadSample, double?> Value)
{
    /// <summary>The path of the line: the newest sample at the right edge, gaps where values are missing.</summary>
    public string Path(ImmutableArray<LoadSample> samples, double most, int width, int height)
    {
        var path = new StringBuilder();
        var isDrawing = false;
        for (var i = 0; i < samples.Length; i++)
        {
            if (Value(samples[i]) is not { } value)
            {
                isDrawing = false;
                continue;
            }

            path.Append(isDrawing ? 'L' : 'M');
            path.Append(Texts.Coordinate(XOf(i, samples.Length, width))).Append(' ');
            path.Append(Texts.Coordinate(height - (value / most * (height - 2)) - 1));
            isDrawing = true;
        }

        return path.ToString();
    }

    public static double XOf(int index, int count, int width) =>
        width - ((count - 1.0 - index) / (Span(count) - 1) * width);

    /// <summary>Samples, of a second each, that a chart has room for: few at first, so that there is something to
    /// see.</summary>
    public static int Span(int count) => count switch
    {
        <= 60 => 60,
        <= 120 => 120,
        _ => ClusterWatch.SamplesMax,
    };
}
