using System.Diagnostics;
using Akka.Actor;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Requests;
using Xunit;

namespace SpotServe.Tests.Persistence;

/// <summary>
/// Measures the journal on this machine: run with <c>-explicit only -class
/// SpotServe.Tests.Persistence.JournalBenchmark</c>.
/// </summary>
public sealed class JournalBenchmark(ITestOutputHelper output)
{
    private const int WarmUpEvents = 40;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory(Explicit = true)]
    [InlineData("sqlite", 1, 500)]
    [InlineData("sqlite", 64, 150)]
    [InlineData("postgres", 1, 500)]
    [InlineData("postgres", 64, 150)]
    public async Task Events_per_second_and_latency(string kind, int writers, int eventsEach)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);
        using var host = await JournalSystem.StartAsync(database.Options, Cancel);
        var actors = Enumerable.Range(0, writers).Select(w => JournalSystem.Probe(host, $"request-{w}")).ToArray();
        await Task.WhenAll(actors.Select(a => WriteAsync(a, WarmUpEvents)));

        var clock = Stopwatch.StartNew();
        var byWriter = await Task.WhenAll(actors.Select(a => WriteAsync(a, eventsEach)));
        var seconds = clock.Elapsed.TotalSeconds;

        var latencies = byWriter.SelectMany(l => l).Order().ToArray();
        var stored = StoredEvents.Schema.Write(Event(1000)).Length;
        output.WriteLine(
            $"{kind}, {writers} writers: {latencies.Length / seconds:N0} events/s, latency p50 " +
            $"{latencies[latencies.Length / 2].TotalMilliseconds:N2} ms, p99 " +
            $"{latencies[latencies.Length * 99 / 100].TotalMilliseconds:N2} ms, {stored} bytes an event of 8 tokens");
        await host.StopAsync(Cancel);
    }

    private static RequestEvents.TokensCommitted Event(int index) =>
        new(new RequestId("cmpl-0192f3c8e5a1"), index, [1000, 2000, 30_000, 4, 5000, 60_000, 7, 128_000]);

    private static async Task<TimeSpan[]> WriteAsync(IActorRef actor, int count)
    {
        var latencies = new TimeSpan[count];
        for (var i = 0; i < count; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await actor.Ask<JournalProbe.Written>(new JournalProbe.Write(Event(i)), TimeSpan.FromSeconds(60), Cancel);
            latencies[i] = Stopwatch.GetElapsedTime(start);
        }

        return latencies;
    }
}
