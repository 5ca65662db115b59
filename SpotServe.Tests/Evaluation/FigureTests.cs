using SpotServe.Actors.Simulation;
using SpotServe.Seed.Commands.Simulating;
using Xunit;

namespace SpotServe.Tests.Evaluation;

public sealed class FigureTests
{
    private static readonly SimulationOutcome Outcome = PaperRecords.Shapes[4].SpotServe;

    [Fact]
    public void A_figure_is_an_svg_and_a_png_on_a_machine_without_a_screen()
    {
        var figure = FigureData.OverTime([Outcome], PaperShapes.Inputs().Traces["A_S"]);

        var svg = FigureDrawing.Svg(figure);
        Assert.StartsWith("<svg viewBox=\"0 0 ", svg, StringComparison.Ordinal);
        Assert.Contains("Machines", svg, StringComparison.Ordinal);
        Assert.Contains(Outcome.Reconfigurations[0].Degrees.ToString(), svg, StringComparison.Ordinal);
        Assert.Equal("PNG", System.Text.Encoding.ASCII.GetString(FigureDrawing.Png(figure), 1, 3));
    }

    [Fact]
    public void A_distribution_rises_from_nobody_to_all_over_the_latencies_that_were()
    {
        var line = FigureData.Distribution([Outcome]).Series.Single().Points;

        Assert.Equal(Outcome.Completed.Max(request => request.Latency), line[^1].X);
        Assert.Equal(1, line[^1].Y);
        Assert.All(line.Zip(line.Skip(1)), pair =>
            Assert.True(pair.Item1.X <= pair.Item2.X && pair.Item1.Y < pair.Item2.Y));
    }

    [Fact]
    public void A_report_in_html_has_its_pictures_in_itself()
    {
        var figure = new ReportBlock.Figure("name", "Caption & more", FigureData.Distribution([Outcome]));

        var html = ReportWriter.ToHtml(new Report("Title", [figure]));

        Assert.Contains("<svg", html, StringComparison.Ordinal);
        Assert.Contains("Caption &amp; more", html, StringComparison.Ordinal);
        Assert.DoesNotContain("src=", html, StringComparison.Ordinal);
        Assert.DoesNotContain("href=", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Json_has_the_points_of_a_figure()
    {
        var figure = new ReportBlock.Figure("name", "Caption", FigureData.Distribution([Outcome]));

        using var json = System.Text.Json.JsonDocument.Parse(ReportWriter.ToJson(new Report("Title", [figure])));

        var block = json.RootElement.GetProperty("blocks")[0];
        Assert.Equal("name", block.GetProperty("figure").GetString());
        Assert.Equal("line", block.GetProperty("data").GetProperty("series")[0].GetProperty("style").GetString());
    }
}
