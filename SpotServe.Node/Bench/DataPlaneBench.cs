using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using SpotServe.Actors.DataPlane;

namespace SpotServe.Node.Bench;

/// <summary>
/// What the data plane costs beside a bare socket: all in one run over loopback, each side a thread, so that the
/// ratios hold whatever the machine and its load. Every figure is the best of several rounds.
/// </summary>
public static class DataPlaneBench
{
    private const int Rounds = 7;
    private const int HiddenSize = 2048;

    /// <summary>Runs all measurements and prints a table.</summary>
    public static async Task RunAsync(TextWriter output, CancellationToken cancel)
    {
        var small = PingPong(64, 2000);
        var page = PingPong(8192, 2000);
        var large = PingPong(512 * HiddenSize * sizeof(float), 20);
        output.WriteLine($"{"loopback, best of rounds",-60}{"us",10}{"x bare",10}  bare ping-pong of");
        Print("bare socket round trip, 64 B", small, small, "64 B");
        Print("bare socket round trip, 8 KiB", page, page, "8 KiB");
        Print("bare socket round trip, 4 MiB", large, large, "4 MiB");

        foreach (var ranks in new[] { 2, 4 })
        {
            foreach (var (floats, repeats) in new[] { (768, 1000), (2048, 1000), (512 * HiddenSize, 10) })
            {
                var bare = floats > HiddenSize ? large : page;
                var bareName = floats > HiddenSize ? "4 MiB" : "8 KiB";
                foreach (var apart in new[] { true, false })
                {
                    var best = await AllReduceAsync(ranks, floats, repeats, apart, cancel).ConfigureAwait(false);
                    Print($"all-reduce of {ranks} ranks {How(apart)}, {floats} floats", best, bare, bareName);
                }
            }
        }

        foreach (var (tokens, repeats) in new[] { (1, 1000), (512, 20) })
        {
            var (bare, bareName) = tokens == 1 ? (page, "8 KiB") : (large, "4 MiB");
            foreach (var apart in new[] { true, false })
            {
                var best = await HandOffAsync(tokens, repeats, apart, cancel).ConfigureAwait(false);
                Print($"stage hand-off {How(apart)} and back, {tokens} x {HiddenSize} floats", best, bare, bareName);
            }
        }

        static string How(bool apart) => apart ? "over TCP" : "in one process";

        void Print(string what, double microseconds, double bare, string bareName) => output.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{what,-60}{microseconds,10:F1}{microseconds / bare,10:F2}  {bareName}"));
    }

    /// <summary>Microseconds of a round trip over two plain sockets.</summary>
    private static double PingPong(int bytes, int repeats)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        using var near = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        near.Connect(listener.LocalEndPoint!);
        using var far = listener.Accept();
        near.NoDelay = far.NoDelay = true;
        return BestRound(
            repeats,
            new byte[bytes],
            near: memory =>
            {
                SendAll(near, memory);
                ReceiveAll(near, memory);
            },
            new byte[bytes],
            far: memory =>
            {
                ReceiveAll(far, memory);
                SendAll(far, memory);
            });
    }

    private static async Task<double> AllReduceAsync(
        int ranks, int floats, int repeats, bool apart, CancellationToken cancel)
    {
        var links = await ConnectAsync(1, ranks, apart, cancel).ConfigureAwait(false);
        try
        {
            // Ranks start their rounds by themselves: the sum is the barrier.
            var best = double.MaxValue;
            var threads = links.Select(link => new Thread(() =>
            {
                var values = new float[floats];
                for (var round = 0; round < Rounds; round++)
                {
                    var microseconds = Time(repeats, () => link.Collective.AllReduceSum(values));
                    if (link.Self.Rank == 0) best = Math.Min(best, microseconds);
                }
            })).ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());
            return best;
        }
        finally
        {
            links.ForEach(link => link.Dispose());
        }
    }

    /// <summary>There and back between two stages: the way back is the same link's other direction.</summary>
    private static async Task<double> HandOffAsync(int tokens, int repeats, bool apart, CancellationToken cancel)
    {
        var links = await ConnectAsync(2, 1, apart, cancel).ConfigureAwait(false);
        try
        {
            var (near, far) = (links[0].ActivationsOut!, links[1].ActivationsIn!);
            var bytes = tokens * HiddenSize * sizeof(float);
            return BestRound(
                repeats,
                new byte[bytes],
                near: memory =>
                {
                    near.Send(FrameKind.Activations, 1, memory);
                    near.Receive(FrameKind.Activations, 1, memory);
                },
                new byte[bytes],
                far: memory =>
                {
                    far.Receive(FrameKind.Activations, 1, memory);
                    far.Send(FrameKind.Activations, 1, memory);
                });
        }
        finally
        {
            links.ForEach(link => link.Dispose());
        }
    }

    /// <summary>Each position in a node of its own, or all in one.</summary>
    private static Task<List<StageLinks>> ConnectAsync(
        int stages, int ranks, bool apart, CancellationToken cancel) => LoopbackLinks.ConnectAsync(
            stages, ranks, (stage, rank) => apart ? $"node{(stage * ranks) + rank}" : "node", cancel);

    private static double BestRound(
        int repeats, byte[] nearMemory, Action<byte[]> near, byte[] farMemory, Action<byte[]> far)
    {
        var thread = new Thread(() =>
        {
            for (var i = 0; i < Rounds * repeats; i++) far(farMemory);
        });
        thread.Start();
        var best = Enumerable.Range(0, Rounds).Select(_ => Time(repeats, () => near(nearMemory))).Min();
        thread.Join();
        return best;
    }

    private static double Time(int repeats, Action action)
    {
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < repeats; i++) action();
        return Stopwatch.GetElapsedTime(start).TotalMicroseconds / repeats;
    }

    private static void SendAll(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0) bytes = bytes[socket.Send(bytes)..];
    }

    private static void ReceiveAll(Socket socket, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var count = socket.Receive(bytes);
            if (count == 0) throw new SocketException((int)SocketError.ConnectionReset);
            bytes = bytes[count..];
        }
    }
}
