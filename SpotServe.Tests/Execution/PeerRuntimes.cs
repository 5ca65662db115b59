using System.Collections.Immutable;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Execution;

/// <summary>Devices that give each other slices without a network.</summary>
internal sealed class PeerRuntimes : ISliceFetcher
{
    private readonly Dictionary<DeviceId, IDeviceRuntime> _runtimes = [];

    public List<SliceRequest> Requests { get; } = [];

    /// <summary>Called before a request is answered; what it throws is its outcome.</summary>
    public Action<SliceRequest> BeforeAnswer { get; set; } = _ => { };

    public DeviceId Add(IDeviceRuntime runtime)
    {
        var id = new DeviceId("peer", _runtimes.Count);
        _runtimes.Add(id, runtime);
        return id;
    }

    public async Task FetchAsync(SliceRequest request, ITransferBlock into, CancellationToken cancel)
    {
        await Task.CompletedTask;
        lock (Requests) Requests.Add(request);
        BeforeAnswer(request);
        var runtime = _runtimes[request.From];
        using var source = request.Weights is { } weights
            ? runtime.OpenWeights(weights) : runtime.OpenPages(request.Pages!);
        if (source is null) throw new SliceLostException(request, "it is not held");
        BlockCopy.Run(source, into, cancel);
    }

    /// <summary>Orders for all of a position's weights that the peers hold.</summary>
    public PreparationOrder Order(StageAssignment assignment, Epoch? sharedPages = null)
    {
        var orders = ImmutableArray.CreateBuilder<WeightOrder>();
        foreach (var (id, runtime) in _runtimes)
        {
            var need = new SliceGeometry(runtime.Model).Need(assignment);
            foreach (var (wanted, held) in need.SelectMany(wanted => runtime.Weights.Select(held => (wanted, held))))
            {
                var layers = wanted.Layers.Intersect(held.Layers);
                var share = wanted.Share.Intersect(held.Share);
                if (wanted.Group == held.Group && layers.Count > 0 && !share.IsEmpty)
                    orders.Add(new WeightOrder(new WeightSlice(wanted.Group, layers, share), id));
            }
        }

        return new PreparationOrder(assignment, orders.ToImmutable(), sharedPages);
    }

    /// <summary>Copies the pages of an engine to that of another epoch, for the heads and layers that both
    /// have.</summary>
    public static void MovePages(
        IDeviceRuntime from, StageAssignment old, IDeviceRuntime to, StageAssignment next, ImmutableArray<int> pages)
    {
        var heads = Heads(from.Model, old);
        var nextHeads = Heads(to.Model, next);
        var common = new AxisRange(Math.Max(heads.First, nextHeads.First), Math.Min(heads.End, nextHeads.End));
        var layers = old.Layers.Intersect(next.Layers);
        if (common.Count <= 0 || layers.Count == 0) return;
        using var source = from.OpenPages(new PageRun(old.Epoch, layers, common, pages))!;
        using var target = to.OpenPages(new PageRun(next.Epoch, layers, common, pages))!;
        BlockCopy.Run(source, target, CancellationToken.None);
    }

    /// <summary>All bytes of a wire form, read in pieces of odd length.</summary>
    public static byte[] Bytes(ITransferBlock? block)
    {
        using var open = block ?? throw new InvalidOperationException("It is not held.");
        var bytes = new byte[open.Bytes];
        for (var at = 0; at < bytes.Length;)
        {
            var direct = open.Direct(at);
            var count = Math.Min(bytes.Length - at, direct.Length > 0 ? direct.Length : 1021);
            if (direct.Length > 0) direct[..count].CopyTo(bytes.AsSpan(at));
            else open.Read(at, bytes.AsSpan(at, count));
            at += count;
        }

        return bytes;
    }

    private static AxisRange Heads(ModelSpec model, StageAssignment assignment) =>
        TensorSlices.KvHeads(model, assignment.Position.Rank, assignment.RankCount);
}
