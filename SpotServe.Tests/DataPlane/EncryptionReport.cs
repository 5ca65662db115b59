using System.Diagnostics;
using System.Globalization;
using System.Net;
using SpotServe.Actors.DataPlane;
using Xunit;

namespace SpotServe.Tests.DataPlane;

/// <summary>
/// What --data-tls costs, on loopback, where the network hides nothing of it. Plain and encrypted links take turns in
/// one run, so that the ratios hold on a machine that others load. By command:
/// <c>SpotServe.Tests -explicit only -class SpotServe.Tests.DataPlane.EncryptionReport -showLiveOutput</c>.
/// </summary>
public sealed class EncryptionReport(ITestOutputHelper output)
{
    private const int Rounds = 9;
    private const int FetchedBytes = 64 << 20;
    private static readonly ClusterSecret Secret = new("for this report only");
    private static readonly ClusterIdentity Identity = ClusterIdentity.OfSecret(Secret);
    private static readonly LinkKey Key = LinkPairs.Key;

    [Fact(Explicit = true)]
    public async Task Cost_of_encryption_beside_the_same_links_without()
    {
        output.WriteLine($"{"median of " + Rounds + ", loopback",-44}{"plain",12}{"TLS 1.3",12}{"ratio",8}");
        foreach (var (bytes, repeats) in new[] { (64, 2000), (8 << 10, 1000), (64 << 10, 300), (4 << 20, 8) })
        {
            using var plain = await Pair.OpenAsync(null);
            using var encrypted = await Pair.OpenAsync(Identity);
            await PrintAsync(
                $"there and back, frames of {bytes / 1024.0:0.##} KiB", "us",
                () => Task.FromResult(plain.ThereAndBack(bytes, repeats)),
                () => Task.FromResult(encrypted.ThereAndBack(bytes, repeats)));
        }

        using var open = new Fetching(null);
        using var closed = new Fetching(Identity);
        await PrintAsync($"fetch of {FetchedBytes >> 20} MiB with checksums", "ms", open.RunAsync, closed.RunAsync);
        await PrintAsync("connecting one link", "us", () => ConnectAsync(null), () => ConnectAsync(Identity));
    }

    private async Task PrintAsync(string what, string unit, Func<Task<double>> plain, Func<Task<double>> encrypted)
    {
        // The first of each warms up.
        _ = (await plain(), await encrypted());
        var (without, with) = (new double[Rounds], new double[Rounds]);
        for (var round = 0; round < Rounds; round++) (without[round], with[round]) = (await plain(), await encrypted());
        var (a, b) = (without.Order().ElementAt(Rounds / 2), with.Order().ElementAt(Rounds / 2));
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{what,-44}{a,9:0.#} {unit}{b,9:0.#} {unit}{b / a,8:0.00}"));
    }

    private static async Task<double> ConnectAsync(ClusterIdentity? identity)
    {
        const int Repeats = 20;
        var microseconds = 0.0;
        for (var i = 0; i < Repeats; i++)
        {
            var start = Stopwatch.GetTimestamp();
            using var pair = await Pair.OpenAsync(identity);
            microseconds += Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        return microseconds / Repeats;
    }

    private static DataPlaneOptions Options(ClusterIdentity? identity) =>
        new() { Secret = Secret, Identity = identity, Listen = new IPEndPoint(IPAddress.Loopback, 0) };

    private sealed class Pair(SocketLink dialled, SocketLink accepted) : IDisposable
    {
        public static async Task<Pair> OpenAsync(ClusterIdentity? identity)
        {
            using var listener = new DataPlaneListener(Options(identity), TimeProvider.System);
            var expecting = listener.ExpectAsync(Key, "the dialler", TestContext.Current.CancellationToken);
            var dialled = await LinkDialler.DialAsync(
                Key, new DialTarget(listener.Endpoint, "the listener"), new LinkCredentials(Secret, identity),
                TestContext.Current.CancellationToken);
            return new Pair(dialled, await expecting);
        }

        public double ThereAndBack(int bytes, int repeats)
        {
            var echo = new Thread(() =>
            {
                var memory = new byte[bytes];
                for (var i = 0; i < repeats; i++)
                {
                    accepted.Receive(FrameKind.Activations, 1, memory);
                    accepted.Send(FrameKind.Activations, 1, memory);
                }
            });
            echo.Start();
            var mine = new byte[bytes];
            var start = Stopwatch.GetTimestamp();
            for (var i = 0; i < repeats; i++)
            {
                dialled.Send(FrameKind.Activations, 1, mine);
                dialled.Receive(FrameKind.Activations, 1, mine);
            }

            var microseconds = Stopwatch.GetElapsedTime(start).TotalMicroseconds / repeats;
            echo.Join();
            return microseconds;
        }

        public void Dispose()
        {
            dialled.Dispose();
            accepted.Dispose();
        }
    }

    private sealed class Fetching : IDisposable
    {
        private readonly TransferPair _pair;
        private readonly MemoryBlock _into = new(new byte[FetchedBytes]);

        public Fetching(ClusterIdentity? identity)
        {
            _pair = new TransferPair(identity: identity);
            var held = MemoryBlock.Random(FetchedBytes, seed: 1);
            _pair.Source.SliceSource = _ => new MemoryBlock(held);
        }

        public async Task<double> RunAsync()
        {
            var start = Stopwatch.GetTimestamp();
            await _pair.FetchAsync(TransferPair.Request, _into, _pair.Source.Endpoint);
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        public void Dispose() => _pair.Dispose();
    }
}
