using System.Diagnostics;
using Akka.Actor;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.Serialization;

/// <summary>Run with <c>-explicit only -class SpotServe.Tests.Serialization.SerializerBenchmark</c>.</summary>
public sealed class SerializerBenchmark(ITestOutputHelper output)
{
    [Fact(Explicit = true)]
    public void Time_to_start_and_time_and_bytes_of_a_message()
    {
        using var system = ActorSystem.Create("benchmark");
        var clock = Stopwatch.StartNew();
        var serializer = new HyperionMessageSerializer((ExtendedActorSystem)system);
        output.WriteLine($"made in {clock.ElapsedMilliseconds} ms for {MessageTypes.OfSpotServe.All.Length} types");

        Measure(serializer, "8 tokens", 20_000, new ReplicaProtocol.TokensGenerated(
            new Epoch(3), new RequestId("cmpl-0192f3c8e5a1"), 100, [.. Enumerable.Range(1000, 8)], null));
        Measure(serializer, "prompt of 8,192 tokens", 200, new ReplicaProtocol.Submit(
            new Epoch(3),
            new GenerationRequest(
                new RequestId("cmpl-0192f3c8e5a1"),
                new GenerationSpec(
                    [.. Enumerable.Range(100_000, 8192)], new GenerationParameters(64, SamplingParameters.Greedy, [2])),
                [])));
    }

    private void Measure(HyperionMessageSerializer serializer, string name, int rounds, object message)
    {
        for (var i = 0; i < rounds; i++) RoundTrip();
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < rounds; i++) RoundTrip();
        output.WriteLine(
            $"{name}: {clock.Elapsed.TotalMicroseconds / rounds:N2} us a round trip, " +
            $"{serializer.ToBinary(message).Length:N0} bytes");

        void RoundTrip() => serializer.FromBinary(serializer.ToBinary(message), typeof(object));
    }
}
