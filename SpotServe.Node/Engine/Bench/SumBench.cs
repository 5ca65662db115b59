using System.Diagnostics;
using System.Globalization;
using SpotServe.Actors.DataPlane;
using SpotServe.Node.Engine.Cuda;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>Measures sums over the GPUs of this process beside NCCL's: of decode sizes in graphs, of prompts' sizes one
/// by one. Every figure's sums are compared with those that the host adds, bit by bit.</summary>
internal static class SumBench
{
    private const int Turns = 50;
    private const int CheckedTurns = 200;
    private const int Hidden = 2_048;

    private static readonly int[] Tokens = [1, 2, 4, 8, 32, 64];
    private static readonly long[] Lengths = [1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22];

    /// <returns>The figures as text.</returns>
    /// <exception cref="ArgumentException">The GPUs cannot sum by themselves.</exception>
    public static string Run(BenchOptions options, Action<string> log)
    {
        if (!int.IsPow2(options.Devices) || options.Devices is < 2 or > PeerEnd.RanksMax)
            throw new ArgumentException($"--sums needs --devices 2, 4 or 8, not {options.Devices}.");
        var devices = BenchDevices.Open(options.Device, options.Devices, options.TorchLib, options.Threads, log);
        using var scope = NewDisposeScope();
        using var group = new SharedMemoryGroup(devices.Count);
        SumRank[] ranks = [.. devices.Select((device, rank) => new SumRank(device, rank, devices.Count, Hidden))];
        using var nccl = Nccl.Open([.. devices.Select(device => device.index)]);
        if (nccl is null) log("NCCL is not to be had");
        try
        {
            Meet(ranks, group);
            var lines = new List<string> { $"{TorchDevices.Describe(devices[0], 1)} x {devices.Count}; us a sum" };
            var step = 0L;
            foreach (var tokens in Tokens) lines.Add(Decode(ranks, nccl, tokens, ref step));
            foreach (var length in Lengths) lines.Add(Prompts(ranks, nccl, length, ref step));
            return string.Join('\n', lines);
        }
        finally
        {
            foreach (var rank in ranks) rank.Dispose();
        }
    }

    /// <summary>Microseconds of a sum over GPUs as a decode pass has it, in a graph.</summary>
    /// <param name="hidden">Values of a token.</param>
    /// <param name="tokens">At most what a pass has.</param>
    public static double DecodeMicroseconds(IReadOnlyList<Device> devices, int hidden, int tokens)
    {
        using var scope = NewDisposeScope();
        using var group = new SharedMemoryGroup(devices.Count);
        SumRank[] ranks = [.. devices.Select((device, rank) => new SumRank(device, rank, devices.Count, hidden))];
        try
        {
            Meet(ranks, group);
            CudaGraph[] graphs = [.. ranks.Select(rank =>
            {
                rank.UseContext();
                return rank.Record(tokens);
            })];
            var step = 0L;
            Run();
            var clock = Stopwatch.StartNew();
            Run();
            var each = clock.Elapsed.TotalMicroseconds / Turns / SumRank.SumsAGraph;
            foreach (var graph in graphs) graph.Dispose();
            return each;

            void Run()
            {
                for (var turn = 0; turn < Turns; turn++) Launch(ranks, graphs, turn, ++step);
                Wait(ranks);
            }
        }
        finally
        {
            foreach (var rank in ranks) rank.Dispose();
        }
    }

    private static void Meet(SumRank[] ranks, SharedMemoryGroup group)
    {
        SharedMemoryCollective[] collectives = [.. Enumerable.Range(0, ranks.Length).Select(group.Join)];
        var threads = ranks.Select((rank, i) => new Thread(() => rank.Meet(collectives[i]))).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
    }

    private static void Launch(SumRank[] ranks, CudaGraph[] graphs, int turn, long step)
    {
        for (var i = 0; i < ranks.Length; i++)
        {
            ranks[i].UseContext();
            ranks[i].Launch(graphs[i], turn, step);
        }
    }

    private static string Decode(SumRank[] ranks, Nccl? nccl, int tokens, ref long step)
    {
        CudaGraph[] graphs = [.. ranks.Select(rank =>
        {
            rank.UseContext();
            return rank.Record(tokens);
        })];
        var unequal = 0;
        for (var turn = 0; turn < CheckedTurns; turn++)
        {
            Launch(ranks, graphs, turn: 0, ++step);
            Wait(ranks);
            unequal += Unequal(ranks, tokens, step);
        }

        var clock = Stopwatch.StartNew();
        for (var turn = 0; turn < Turns; turn++) Launch(ranks, graphs, turn, ++step);
        Wait(ranks);
        var ours = clock.Elapsed.TotalMicroseconds / Turns / SumRank.SumsAGraph;
        unequal += Unequal(ranks, tokens, step);
        foreach (var graph in graphs) graph.Dispose();
        var count = (long)tokens * Hidden;
        var theirs = nccl is null ? null : NcclInGraph(ranks, nccl, count);
        var given = ranks.Count(rank => rank.End.HasGivenUp);
        return Line(count, "in a graph", ours, theirs)
            + $"; {unequal} of {(CheckedTurns + 1) * ranks.Length} results unequal, {given} given up";
    }

    /// <summary>GPUs whose last sum has other bits than the host's.</summary>
    private static int Unequal(SumRank[] ranks, int tokens, long step)
    {
        using var scope = NewDisposeScope();
        var rows = tensor(Enumerable.Range(0, tokens).Select(token => (long)SumRank.Row(token, step)).ToArray());
        Tensor[] parts = [.. ranks.Select(rank => rank.Table.cpu().to(ScalarType.Float32).index_select(0, rows))];
        var expected = Tree(parts);
        return ranks.Count(rank =>
        {
            rank.UseContext();
            return !rank.Result(tokens).equal(expected).IsAllTrue();
        });
    }

    private static string Prompts(SumRank[] ranks, Nccl? nccl, long length, ref long step)
    {
        using var scope = NewDisposeScope();
        Tensor[] values = [.. ranks.Select(rank => rank.Values.narrow(0, 0, length))];
        foreach (var value in values) value.normal_();
        Tensor[] kept = [.. values.Select(value => value.cpu())];
        var expected = Tree(kept);
        SumOnce(++step);
        Wait(ranks);
        var unequal = values.Count(value => !value.cpu().equal(expected).IsAllTrue());
        for (var i = 0; i < ranks.Length; i++) values[i].copy_(kept[i]);
        Wait(ranks);
        var clock = Stopwatch.StartNew();
        for (var turn = 0; turn < Turns; turn++) SumOnce(++step);
        Wait(ranks);
        var ours = clock.Elapsed.TotalMicroseconds / Turns;
        double? theirs = null;
        if (nccl is not null)
        {
            nint[] addresses = [.. values.Select(Address)];
            nint[] streams = [.. ranks.Select(rank => rank.Stream.Handle)];
            nccl.AllReduce(addresses, length, streams);
            Wait(ranks);
            clock.Restart();
            for (var turn = 0; turn < Turns; turn++) nccl.AllReduce(addresses, length, streams);
            Wait(ranks);
            theirs = clock.Elapsed.TotalMicroseconds / Turns;
        }

        for (var i = 0; i < ranks.Length; i++) values[i].copy_(kept[i]);
        return Line(length, "one by one", ours, theirs) + $"; {unequal} of {ranks.Length} results unequal";

        void SumOnce(long step)
        {
            for (var i = 0; i < ranks.Length; i++)
            {
                ranks[i].UseContext();
                ranks[i].Peers.BeginStep(step);
                ranks[i].Peers.Sum(values[i]);
            }
        }
    }

    private static double? NcclInGraph(SumRank[] ranks, Nccl nccl, long count)
    {
        nint[] addresses = [.. ranks.Select(rank => Address(rank.Values))];
        nint[] streams = [.. ranks.Select(rank => rank.Stream.Handle)];
        // The first one connects the GPUs, which cannot be recorded.
        if (!nccl.AllReduce(addresses, count, streams)) return null;
        Wait(ranks);
        var graphs = new CudaGraph[ranks.Length];
        RecordFrom(0);
        Launch();
        Wait(ranks);
        var clock = Stopwatch.StartNew();
        for (var turn = 0; turn < Turns; turn++) Launch();
        Wait(ranks);
        var each = clock.Elapsed.TotalMicroseconds / Turns / SumRank.SumsAGraph;
        foreach (var graph in graphs) graph.Dispose();
        return each;

        // All streams are captured at the same time: a sum is recorded on all of them at once.
        void RecordFrom(int rank)
        {
            if (rank == ranks.Length)
            {
                for (var i = 0; i < SumRank.SumsAGraph; i++) nccl.AllReduce(addresses, count, streams);
                return;
            }

            ranks[rank].UseContext();
            graphs[rank] = ranks[rank].Stream.Capture(() => RecordFrom(rank + 1));
        }

        void Launch()
        {
            for (var i = 0; i < ranks.Length; i++)
            {
                ranks[i].UseContext();
                graphs[i].Launch();
            }
        }
    }

    private static void Wait(SumRank[] ranks)
    {
        foreach (var rank in ranks)
        {
            rank.UseContext();
            rank.Stream.Synchronize();
        }
    }

    private static Tensor Tree(ReadOnlySpan<Tensor> parts) => parts.Length == 1
        ? parts[0] : Tree(parts[..(parts.Length / 2)]).Plus(Tree(parts[(parts.Length / 2)..]));

    private static nint Address(Tensor tensor)
    {
        unsafe
        {
            return (nint)TensorMemory.Pointer(tensor);
        }
    }

    private static string Line(long count, string how, double ours, double? theirs) => string.Create(
        CultureInfo.InvariantCulture,
        $"{count * sizeof(float) / 1024,8} kB {how}: {ours,8:0.00}, NCCL {theirs,8:0.00}");
}
