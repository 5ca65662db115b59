using System.Text.RegularExpressions;
using ScottPlot;
using SkiaSharp;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>Draws figures with ScottPlot. The only one to touch it: its libraries are loaded when a figure is
/// written, and at no other time.</summary>
internal static partial class FigureDrawing
{
    private const int Width = 860, Height = 420, HeightWithSteps = 520;
    private const int FewPoints = 20;
    private const float FontSize = 12, LeftSize = 60;

    /// <summary>The picture as SVG, from "&lt;svg" on.</summary>
    public static string Svg(FigureData figure)
    {
        var height = HeightOf(figure);
        using var stream = new MemoryStream();
        using (var canvas = SKSvgCanvas.Create(new SKRect(0, 0, Width, height), stream))
            Draw(figure).Render(canvas, new PixelRect(0, Width, height, 0));
        var text = System.Text.Encoding.UTF8.GetString(stream.ToArray());
        var root = text.IndexOf("<svg", StringComparison.Ordinal);
        text = Decimals().Replace(text[(root + "<svg".Length)..], "$1");
        text = Glyphs().Replace(text, "font-family=\"sans-serif\" x=\"0\" y=\"0\"");
        // With a view box it takes the width that a page gives it.
        return FormattableString.Invariant($"<svg viewBox=\"0 0 {Width} {height}\"") + text;
    }

    /// <summary>A tenth of a pixel is all that is seen.</summary>
    [GeneratedRegex(@"(\d+\.\d)\d+")]
    private static partial Regex Decimals();

    /// <summary>Glyphs are placed one by one for this machine's font, which the reader's need not have.</summary>
    [GeneratedRegex("font-family=\"[^\"]*\" x=\"[^\"]*\" y=\"[^\"]*\"")]
    private static partial Regex Glyphs();

    /// <summary>The same picture as PNG.</summary>
    public static byte[] Png(FigureData figure)
    {
        var height = HeightOf(figure);
        using var surface = SKSurface.Create(new SKImageInfo(Width, height));
        Draw(figure).Render(surface.Canvas, new PixelRect(0, Width, height, 0));
        using var image = surface.Snapshot();
        using var data = image.Encode(SKEncodedImageFormat.Png, 100);
        return data.ToArray();
    }

    private static int HeightOf(FigureData figure) => figure.Below is null ? Height : HeightWithSteps;

    private static Multiplot Draw(FigureData figure)
    {
        var all = new Multiplot();
        all.AddPlots(figure.Below is null ? 1 : 2);
        var above = all.GetPlot(0);
        foreach (var series in figure.Series) Add(above, series);
        above.YLabel(figure.Y, FontSize);
        above.Axes.AutoScale();
        above.Axes.SetLimitsY(0, above.Axes.GetLimits().Top);
        (above.Axes.Left.MinimumSize, above.Axes.Left.MaximumSize) = (LeftSize, LeftSize);
        if (figure.Series.Length > 1) above.ShowLegend(Alignment.UpperRight);
        if (figure.Below is not { } steps)
        {
            above.XLabel(figure.X, FontSize);
            if (above.Axes.GetLimits().Top <= 1.5) above.Legend.Alignment = Alignment.LowerRight;
            return all;
        }

        var below = all.GetPlot(1);
        Add(below, steps);
        (below.Axes.Left.MinimumSize, below.Axes.Left.MaximumSize) = (LeftSize, LeftSize);
        below.XLabel(figure.X, FontSize);
        all.CollapseVertically();
        var limits = below.Axes.GetLimits();
        above.Axes.SetLimitsX(0, limits.Right);
        below.Axes.SetLimitsX(0, limits.Right);
        return all;
    }

    private static void Add(Plot plot, FigureSeries series)
    {
        var xs = series.Points.Select(point => point.X).ToArray();
        var ys = series.Points.Select(point => point.Y).ToArray();
        var drawn = series.Style == FigureStyle.Points
            ? plot.Add.ScatterPoints(xs, ys)
            : plot.Add.Scatter(xs, ys);
        drawn.MarkerSize = series.Style switch
        {
            FigureStyle.Points => series.Points.Length > FewPoints ? 3 : 9,
            FigureStyle.Both => 7,
            _ => 0,
        };
        drawn.LegendText = series.Name;
    }

    private static void Add(Plot plot, FigureSteps steps)
    {
        var line = plot.Add.ScatterLine(
            steps.Points.Select(point => point.X).ToArray(), steps.Points.Select(point => point.Y).ToArray());
        line.ConnectStyle = ConnectStyle.StepHorizontal;
        plot.YLabel(steps.Y, FontSize);
        plot.Axes.AutoScale();
        var top = Math.Max(1, steps.Points.Max(point => point.Y));
        plot.Axes.SetLimits(0, steps.Points[^1].X, 0, top * 1.5);
        for (var i = 0; i < steps.Marks.Length; i++)
        {
            var mark = steps.Marks[i];
            var at = plot.Add.VerticalLine(mark.X);
            (at.LineWidth, at.LinePattern, at.LineColor) = (1, LinePattern.Dotted, Colors.Gray);
            // Neighbours are written at two heights, so that they do not cover each other.
            var text = plot.Add.Text(mark.Text, mark.X, top * (i % 2 == 0 ? 1.42 : 1.24));
            text.LabelFontSize = FontSize - 2;
        }
    }
}
