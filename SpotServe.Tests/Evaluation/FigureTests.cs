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
        // The reader's font has other widths: a word is as wide as it was measured.
        Assert.Contains("textLength=", svg, StringComparison.Ordinal);
        // What is nearly transparent must not be rounded to nothing, nor a tick's label to another number.
        Assert.DoesNotContain("opacity=\"0.0\"", svg, StringComparison.Ordinal);
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
    public void Numbers_that_are_written_in_a_figure_are_not_rounded()
    {
        var series = new FigureSeries("one", FigureStyle.Both, [new(0.012, 3), new(4.5, 500, "at least 2.125")]);

        var svg = FigureDrawing.Svg(new FigureData("x", "y", [series]));

        Assert.Matches(@">\s*0\.01\s*<", svg);
        Assert.Contains("at least 2.125", svg, StringComparison.Ordinal);
    }

    [Fact]
    public void Many_changes_of_layout_are_a_line_of_replicas_beside_machines_and_on_demand_ones()
    {
        var fleet = new Availability("pools", [
            new FleetChange(0, ["a/0", "on-demand/1"], []), new FleetChange(500, [], ["on-demand/1"])], 1000, []);
        var changes = Enumerable.Range(0, 40).Select(i => new Reconfigured(
            i * 20, 2, new LayoutDegrees(1 + (i % 2), 1, 1, 4), "", 0, 0));

        var below = FigureData.OverTime([Outcome with { Reconfigurations = [.. changes] }], fleet).Below!;

        Assert.Equal(["machines", "of them on-demand", "replicas"], below.Lines.Select(line => line.Name));
        Assert.Equal([1.0, 0, 0], below.Lines[1].Points.Select(point => point.Y));
        Assert.Equal(41, below.Lines[2].Points.Length);
        Assert.Empty(below.Marks);
    }

    [Fact]
    public void Of_many_requests_the_median_and_the_99th_percentile_of_each_interval_are_shown()
    {
        var requests = Enumerable.Range(0, 10_000).Select(i => new CompletedRequest(i, i + (i % 100 == 7 ? 50 : 2)));
        var run = Outcome with { EndSeconds = 10_000, Completed = [.. requests] };

        var figure = FigureData.OverTime([run], PaperShapes.Inputs().Traces["A_S"]);

        Assert.Equal(2, figure.Series.Length);
        Assert.All(figure.Series[0].Points, point => Assert.Equal(2, point.Y));
        Assert.Contains(figure.Series[1].Points, point => point.Y == 50);
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
