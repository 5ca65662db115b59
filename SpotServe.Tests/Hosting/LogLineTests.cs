using System.Text.Json;
using CsCheck;
using Microsoft.Extensions.Logging;
using SpotServe.Actors.Hosting;
using Xunit;

namespace SpotServe.Tests.Hosting;

public sealed class LogLineTests
{
    private static readonly DateTimeOffset At = new(2026, 11, 26, 19, 43, 40, 745, TimeSpan.Zero);

    private static LogLine Line => new(
        At, LogLevel.Warning, "Planner", "akka://x/user/planner", "epoch 3 of n:1 \n\"a\"")
    {
        Fields = [new("Epoch", 3L), new("Node", "n:1"), new("Share", 0.5), new("Is", true), new("Nothing", null)],
        Error = new InvalidOperationException("why"),
    };

    [Fact]
    public void Line_for_programs_is_one_object_with_time_level_area_message_fields_and_error()
    {
        var text = Line.In(LogFormat.Json);

        Assert.DoesNotContain('\n', text);
        using var json = JsonDocument.Parse(text);
        var root = json.RootElement;
        Assert.Equal(At, root.GetProperty("time").GetDateTimeOffset());
        Assert.Equal("warning", root.GetProperty("level").GetString());
        Assert.Equal("Planner", root.GetProperty("area").GetString());
        Assert.Equal("akka://x/user/planner", root.GetProperty("source").GetString());
        Assert.Equal("epoch 3 of n:1 \n\"a\"", root.GetProperty("message").GetString());
        Assert.Equal(
            """{"Epoch":3,"Node":"n:1","Share":0.5,"Is":true,"Nothing":null}""",
            root.GetProperty("fields").GetRawText());
        Assert.Contains("why", root.GetProperty("error").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Line_for_people_has_the_same_in_this_order() => Assert.StartsWith(
        "2026-11-26 19:43:40.745 Warning Planner: [akka://x/user/planner] epoch 3 of n:1",
        Line.In(LogFormat.Text), StringComparison.Ordinal);

    [Fact]
    public void Whatever_is_logged_is_valid_json_and_no_longer_than_its_readers_take() =>
        Gen.Select(Gen.String[0, 9000], Gen.String[0, 3000], Gen.Int[0, 60]).Sample((message, value, fields) =>
        {
            var line = new LogLine(At, LogLevel.Information, "Planner", value, message)
            {
                Fields = [.. Enumerable.Range(0, fields).Select(
                    i => KeyValuePair.Create($"Field{i}", (object?)value))],
                Error = fields > 30 ? new InvalidOperationException(value) : null,
            };

            var text = line.In(LogFormat.Json);

            Assert.InRange(text.Length, 1, LogLine.JsonCharactersMax);
            using var json = JsonDocument.Parse(text);
            Assert.Equal("Planner", json.RootElement.GetProperty("area").GetString());
        }, iter: 300);

    [Fact]
    public void What_the_terminal_is_told_becomes_a_line_of_the_log_however_it_is_written()
    {
        var inner = new StringWriter();
        using var writer = new LogLineWriter(inner, LogFormat.Json, LogLevel.Information, new ManualClock());

        writer.Write("  now layout");
        writer.WriteLine(" 1,2,2 serves");
        writer.WriteLine();
        writer.Write("Stopping.\nHalf");

        var messages = inner.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("message").GetString());
        Assert.Equal(["now layout 1,2,2 serves", "Stopping."], messages);
    }
}
