using System.CommandLine;
using System.Diagnostics;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Requests;
using SpotServe.Actors.Tracing;
using Xunit;

namespace SpotServe.Tests.Tracing;

public sealed class TelemetryTests
{
    private const string Client = "00f067aa0ba902b7";

    [Fact]
    public async Task Spans_of_a_clients_trace_and_metrics_come_to_the_collector()
    {
        var trace = ActivityTraceId.CreateRandom().ToHexString();
        await using var receiver = await OtlpReceiver.StartAsync();
        var telemetry = TelemetryExport.Start(receiver.Address, "test")!;

        using (Traces.BeginCall("POST /v1/completions", $"00-{trace}-{Client}-01"))
        {
            var parent = Traces.Current;
            var span = Traces.Begin("entity", parent);
            Assert.Equal(parent, Traces.Current);
            Traces.End(span, "no layout fits");
            Assert.Equal(parent, Traces.Current);
        }

        RequestMetrics.PromptTokens.Add(1);
        telemetry.Dispose();
        var spans = await receiver.OfTraceAsync(trace, 2);

        var (call, entity) = (spans.Single(one => one.Parent == Client), spans.Single(one => one.Parent != Client));
        Assert.Equal(("POST /v1/completions", "entity"), (call.Name, entity.Name));
        Assert.Equal(call.Id, entity.Parent);
        Assert.Equal("test", call.Service);
        Assert.Contains("vllm.prompt_tokens_total", receiver.Metrics);
    }

    [Theory]
    [InlineData("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]
    [InlineData("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7")]
    [InlineData("00-00000000000000000000000000000000-00f067aa0ba902b7-01")]
    [InlineData("é")]
    [InlineData("")]
    public void Strange_or_unrecorded_parent_is_no_parent_and_no_fault(string parent) =>
        Assert.False(Traces.Begin("entity", parent) is { Recorded: true });

    [Theory]
    [InlineData("collector:4318")]
    [InlineData("ftp://collector")]
    [InlineData("http://collector:4318/?a=b")]
    [InlineData("http://user:secret@collector:4318")]
    public void Address_of_no_collector_is_refused_by_name(string url) =>
        Assert.Contains(
            "--otlp", Assert.Throws<UsageException>(() => TelemetryFlag.Read(url)).Message, StringComparison.Ordinal);

    [Fact]
    public void Without_the_option_nothing_is_exported()
    {
        var option = TelemetryFlag.Create();

        var parsed = new RootCommand { option }.Parse([]);

        Assert.Null(TelemetryExport.Start(TelemetryFlag.Read(parsed.GetValue(option)), "test"));
    }
}
