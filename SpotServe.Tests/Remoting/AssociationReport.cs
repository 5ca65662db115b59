using System.Diagnostics;
using SpotServe.Actors.DataPlane;
using Xunit;

namespace SpotServe.Tests.Remoting;

/// <summary>What the proof of the secret costs: once for a connection, and for each message after it.</summary>
public sealed class AssociationReport(ITestOutputHelper output)
{
    private const int Rounds = 20;
    private const int Messages = 2_000;

    [Fact(Explicit = true)]
    public async Task Connecting_and_asking_with_and_without_tls()
    {
        var identity = ClusterIdentity.OfSecret(new ClusterSecret("the secret of both"));
        foreach (var (name, proof) in new[] { ("warm-up", identity), ("TLS", identity), ("open", null) })
        {
            var connects = new List<double>();
            var asks = new List<double>();
            for (var round = 0; round < Rounds; round++)
            {
                await using var one = new RemoteSystem(proof);
                await using var other = new RemoteSystem(proof);
                var start = Stopwatch.GetTimestamp();
                await one.AskAsync(other, "first");
                connects.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                if (round % 5 > 0) continue;
                start = Stopwatch.GetTimestamp();
                for (var i = 0; i < Messages; i++) await one.AskAsync(other, "again");
                asks.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds / Messages);
            }

            connects.Sort();
            asks.Sort();
            output.WriteLine(
                $"{name}: first answer {connects[Rounds / 2]:0.0} ms (fastest {connects[0]:0.0}), later ones " +
                $"{asks[asks.Count / 2]:0.000} ms (fastest {asks[0]:0.000})");
        }
    }
}
