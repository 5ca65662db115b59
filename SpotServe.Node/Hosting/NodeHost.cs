using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Hosting;
using SpotServe.Node.Engine;
using SpotServe.Node.Preemption;

namespace SpotServe.Node.Hosting;

/// <summary>
/// One node process: its devices and its data plane, and one membership of the cluster after the other. What devices
/// hold in memory stays through all of them, so a node that was cut off comes back with its weights.
/// </summary>
internal sealed class NodeHost : IAsyncDisposable
{
    private readonly NodeOptions _options;
    private readonly TimeProvider _clock;
    private readonly DataPlaneNode _dataPlane;
    private readonly ImmutableArray<TorchDeviceRuntime> _runtimes;
    private readonly CancellationTokenSource _disposed = new();
    private NodeMembership? _membership;
    private volatile WeightsHashed? _hashed;

    private NodeHost(
        NodeOptions options,
        TimeProvider clock,
        DataPlaneNode dataPlane,
        ImmutableArray<TorchDeviceRuntime> runtimes)
    {
        _options = options;
        _clock = clock;
        _dataPlane = dataPlane;
        _runtimes = runtimes;
        dataPlane.SliceSource = Open;
    }

    /// <exception cref="UsageException">A port is taken, or no control node answered in time.</exception>
    public static async Task<NodeHost> StartAsync(NodeOptions options, TimeProvider clock, CancellationToken cancel)
    {
        ImmutableArray<TorchDeviceRuntime> runtimes = [.. Enumerable.Range(0, options.DeviceCount).Select(
            index => OpenDevice(options, index))];
        var node = new NodeHost(options, clock, Listen(options), runtimes);
        try
        {
            if (TorchDeviceRuntime.Connect(runtimes) is { } connected) await SayAsync(connected);
            await node.MeasureAsync(cancel);
            node._membership = await NodeMembership.JoinAsync(
                options, node._dataPlane, runtimes, clock, options.JoinMax, cancel);
            return node;
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Serves until cancelled or until it has left after a notice (exit code 0), or until it can serve no more or finds
    /// no control node for <see cref="NodeOptions.RejoinMax"/> (1). Joins again whenever the cluster removed it.
    /// </summary>
    /// <param name="notices">What the process itself hears about the machine's end; stays the caller's.</param>
    public async Task<int> RunAsync(NoticeBoard notices, CancellationToken cancel)
    {
        _ = ProveWeightsAsync();
        try
        {
            while (true)
            {
                MembershipEnd end;
                // Known since before the cluster lost this node; what is found out now is told when it is.
                if (_hashed is { } hashed) _membership!.Tell(hashed);
                using (notices.Subscribe(_membership!.Give)) end = await _membership.Ended.WaitAsync(cancel);
                switch (end.Under(_membership.Departure.Notice))
                {
                    case MembershipEnd.Left left:
                        await SayAsync($"leaves the cluster: {left.Reason}");
                        await notices.AcknowledgeAsync();
                        return 0;
                    case MembershipEnd.Unfit unfit:
                        await Console.Error.WriteLineAsync($"spotserve-node: {unfit.Reason}");
                        return 1;
                    case MembershipEnd.Lost lost:
                        await SayAsync($"joins again, because {lost.Reason}");
                        if (await RejoinAsync(notices, cancel) is { } exitCode) return exitCode;
                        break;
                    default:
                        throw new System.Diagnostics.UnreachableException();
                }
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            return 0;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _disposed.CancelAsync();
        if (_membership is not null) await _membership.DisposeAsync();
        _dataPlane.Dispose();
        foreach (var runtime in _runtimes) runtime.Dispose();
        _disposed.Dispose();
    }

    /// <summary>Before anything runs that would disturb it, or that it would.</summary>
    private async Task MeasureAsync(CancellationToken cancel)
    {
        var cache = new SpeedCache(_options.CacheFolder, _clock);
        foreach (var runtime in _runtimes)
        {
            runtime.Speed = _options.Speed
                ?? await cache.GetAsync(runtime.SpeedModel, runtime.MeasureSpeed, cancel);
            if (runtime.Speed is { } speed) await SayAsync($"computes with {speed}");
        }
    }

    private async Task ProveWeightsAsync()
    {
        try
        {
            var hash = await WeightsProof.FindAsync(_runtimes, _options.CacheFolder, _clock, SayAsync, _disposed.Token);
            if (hash is null) return;
            _hashed = new WeightsHashed(hash);
            _membership?.Tell(_hashed);
        }
        catch (OperationCanceledException)
        {
            // The node ends.
        }
    }

    /// <summary>What peers ask for, whichever membership's name they know this node by.</summary>
    private ITransferBlock? Open(SliceRequest request)
    {
        if (request.From.Index < 0 || request.From.Index >= _runtimes.Length) return null;
        var runtime = _runtimes[request.From.Index];
        return request.Weights is { } weights ? runtime.OpenWeights(weights) : runtime.OpenPages(request.Pages!);
    }

    private static Task SayAsync(string what) => Console.Out.WriteLineAsync($"spotserve-node: {what}");

    /// <summary>Null once it is a member again, else the process's exit code.</summary>
    private async Task<int?> RejoinAsync(NoticeBoard notices, CancellationToken cancel)
    {
        var rejoining = new Rejoining(_clock.GetUtcNow(), _options.RejoinMax);
        if (!await _membership!.EndAsync(cancel))
        {
            await Console.Error.WriteLineAsync(
                "spotserve-node: the former actor system does not end, so this process cannot join again; start it " +
                "anew.");
            return 1;
        }

        for (var left = _options.RejoinMax; left > TimeSpan.Zero; left = rejoining.Left(_clock.GetUtcNow()))
        {
            if (notices.Earliest is not null)
            {
                await SayAsync("was told to go while it was outside of the cluster");
                return 0;
            }

            if (await TryJoinAsync(rejoining, left, cancel)) return null;
        }

        await Console.Error.WriteLineAsync(
            $"spotserve-node: no control node at {string.Join(", ", _options.Seeds)} took this node in again within " +
            $"{_options.RejoinMax.TotalSeconds:0} s (--rejoin-max). Start it anew when they run.");
        return 1;
    }

    private async Task<bool> TryJoinAsync(Rejoining rejoining, TimeSpan left, CancellationToken cancel)
    {
        var pause = rejoining.NextPause(_clock.GetUtcNow());
        if (pause > TimeSpan.Zero)
        {
            using var timer = new PeriodicTimer(pause, _clock);
            await timer.WaitForNextTickAsync(cancel);
        }

        var most = left < _options.JoinMax ? left : _options.JoinMax;
        var outcome = await RejoinOutcome.OfAsync(
            () => NodeMembership.JoinAsync(_options, _dataPlane, _runtimes, _clock, most, cancel), cancel);
        if (outcome.Membership is not { } membership)
        {
            await SayAsync(outcome.Reason);
            return false;
        }

        _membership = membership;
        await SayAsync("is a member again");
        return true;
    }

    private static TorchDeviceRuntime OpenDevice(NodeOptions options, int index) => new(new TorchRuntimeOptions
    {
        ModelFolder = options.ModelFolder,
        Device = DeviceName(options.Device, index),
        WeightType = options.WeightType,
        Threads = options.Threads,
        MemoryBytes = options.MemoryBytes,
        TorchLib = options.TorchLib,
        MapWeights = options.MapWeights,
        Numerics = options.Numerics,
        Tell = line => Console.Out.WriteLine($"spotserve-node: {line}"),
        Warn = line => Console.Error.WriteLine($"spotserve-node: {line}"),
    });

    private static string DeviceName(string first, int index)
    {
        if (first == "cpu") return first;
        var colon = first.IndexOf(':', StringComparison.Ordinal);
        var start = colon < 0 ? 0 : int.Parse(first[(colon + 1)..], System.Globalization.CultureInfo.InvariantCulture);
        return $"cuda:{start + index}";
    }

    private static DataPlaneNode Listen(NodeOptions options)
    {
        var endpoint = new IPEndPoint(options.Host, options.DataPort);
        try
        {
            return new DataPlaneNode(
                new DataPlaneOptions
                {
                    Secret = options.Access.Secret!,
                    Identity = options.Access.DataIdentity,
                    Listen = endpoint,
                },
                TimeProvider.System);
        }
        catch (SocketException error)
        {
            throw new UsageException(
                $"The data plane cannot listen on {endpoint}: {error.Message}. Choose another --data-port or --host.");
        }
    }
}
