using System.Net;
using System.Runtime.ExceptionServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// The data plane of one node process: its listener, the meeting place of its own devices, bulk transfers and
/// heartbeats. Thread-safe.
/// </summary>
public sealed class DataPlaneNode : IDisposable
{
    private readonly DataPlaneOptions _options;
    private readonly TimeProvider _time;
    private readonly DataPlaneListener _listener;
    private readonly InProcessHub _hub = new();
    private readonly TransferServer _source;
    private readonly TransferPool _pool;
    private readonly HeartbeatService _heartbeats;

    /// <exception cref="System.Net.Sockets.SocketException">The endpoint cannot be bound.</exception>
    public DataPlaneNode(DataPlaneOptions options, TimeProvider time)
    {
        options.Heartbeat.Check();
        _options = options;
        _time = time;
        Pacer = new TransferPacer(options.Pacing, time);
        _listener = new DataPlaneListener(options, time);
        _source = new TransferServer(options.Transfer, Pacer);
        _pool = new TransferPool(options.Transfer, options.Credentials, time);
        _heartbeats = new HeartbeatService(options.Heartbeat, options.Credentials, time);
        _listener.Serve(LinkKind.Transfer, _source);
        _listener.Serve(LinkKind.Heartbeat, _heartbeats);
    }

    /// <summary>Where it listens, with the port that was really bound.</summary>
    public IPEndPoint Endpoint => _listener.Endpoint;

    /// <summary>Holds back bulk transfers for the sake of engines, which report their steps to it.</summary>
    public TransferPacer Pacer { get; }

    /// <summary>Opens the memory that other nodes, and other devices of this one, ask for; null when it is not held.
    /// Called from transfer threads, several at once. Before it is set nothing is to be had here.</summary>
    public Func<SliceRequest, ITransferBlock?>? SliceSource
    {
        get => _source.Source;
        set => _source.Source = value;
    }

    /// <summary>The way to other devices' slices for one epoch.</summary>
    /// <param name="endpointOf">Data-plane endpoint of a device's node; null when it is not known (any more). This
    /// node's own endpoint stands for memory of this process.</param>
    public ISliceFetcher Fetcher(Epoch epoch, Func<DeviceId, IPEndPoint?> endpointOf) => new SliceFetcher(
        epoch, endpointOf, Endpoint, _source, _pool, Pacer, _options.Transfer, _time);

    /// <summary>Watches other nodes by their heartbeats until disposed. Independent of epochs: several watches of one
    /// node share its connection.</summary>
    /// <param name="peers">Data-plane endpoint of each node, by its name; without this one.</param>
    /// <param name="onLost">Node and reason, at most once per node, from the heartbeat thread: must be quick. A
    /// call may still be under way when the watch is disposed.</param>
    public IDisposable WatchPeers(IReadOnlyDictionary<string, IPEndPoint> peers, Action<string, string> onLost) =>
        _heartbeats.Watch(peers, onLost);

    /// <summary>An epoch began: links of older ones are refused from now on and waiting for them ends, and so are
    /// requests for slices. Links that stand are left to their owners.</summary>
    public void RetireBefore(Epoch epoch)
    {
        _source.RetireBefore(epoch);
        _listener.RetireBefore(epoch);
        _hub.RetireBefore(epoch);
    }

    /// <summary>
    /// Connects all links of one of this process's positions. Every position of the replica must do so, in any order,
    /// once an epoch; it takes until the slowest of those on other nodes does.
    /// </summary>
    /// <param name="endpoints">Data-plane endpoint of each device elsewhere that the position has a link to.</param>
    /// <param name="timeout">For all of it together.</param>
    /// <exception cref="PeerLostException">A peer refused or did not come in time; nothing is left open.</exception>
    /// <exception cref="StaleEpochException">The epoch is over.</exception>
    /// <exception cref="ArgumentException">An endpoint that is needed is not given.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; nothing is left open.</exception>
    public async Task<StageLinks> ConnectAsync(
        IPlacement layout,
        Epoch epoch,
        Position self,
        IReadOnlyDictionary<DeviceId, IPEndPoint> endpoints,
        TimeSpan timeout,
        CancellationToken cancel)
    {
        var topology = StageTopology.Of(layout, epoch, self);
        using var time = new CancellationTokenSource(timeout, _time);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(time.Token, cancel);
        Exception? firstFailure = null;

        var ends = topology.Ends.ToList();
        var opened = await Task.WhenAll(ends.Select(OpenOrStopAll)).ConfigureAwait(false);

        if (firstFailure is null)
        {
            return Assemble(topology, ends.Zip(opened, (end, link) => (end, link!)).ToDictionary());
        }

        foreach (var link in opened) link?.Dispose();
        cancel.ThrowIfCancellationRequested();
        ExceptionDispatchInfo.Throw(firstFailure);
        throw firstFailure;

        async Task<ILink?> OpenOrStopAll(LinkEnd end)
        {
            try
            {
                return await OpenAsync(layout, self, end, endpoints, deadline.Token).ConfigureAwait(false);
            }
            catch (Exception error) when (
                error is PeerLostException or StaleEpochException or ArgumentException or ObjectDisposedException)
            {
                Interlocked.CompareExchange(ref firstFailure, error, null);
                await deadline.CancelAsync().ConfigureAwait(false);
                return null;
            }
        }
    }

    /// <summary>Stops listening, serving slices and sending beats; connected links live on.</summary>
    public void Dispose()
    {
        _listener.Dispose();
        _heartbeats.Dispose();
        _source.Dispose();
        _pool.Dispose();
    }

    private async Task<ILink> OpenAsync(
        IPlacement layout,
        Position self,
        LinkEnd end,
        IReadOnlyDictionary<DeviceId, IPEndPoint> endpoints,
        CancellationToken deadline)
    {
        if (end.Means == LinkMeans.InProcess)
        {
            return _hub.Link(end.Key, end.IsFrom, StepPipeline.StepsInFlightMax(layout.Degrees.Stages));
        }

        var device = layout.DeviceAt(end.Other);
        var peer = $"{end.Other} on {device}";
        if (end.Means == LinkMeans.Accept)
        {
            return await _listener.ExpectAsync(end.Key, peer, deadline, device.Node).ConfigureAwait(false);
        }

        var endpoint = device.Node == layout.DeviceAt(self).Node ? Endpoint : endpoints.GetValueOrDefault(device);
        if (endpoint is null)
        {
            throw new ArgumentException($"No data-plane endpoint is given for {peer}.", nameof(endpoints));
        }

        var target = new DialTarget(endpoint, $"{peer} ({endpoint})", device.Node);
        return await LinkDialler.DialAsync(end.Key, target, _options.Credentials, deadline).ConfigureAwait(false);
    }

    private StageLinks Assemble(StageTopology topology, Dictionary<LinkEnd, ILink> open)
    {
        var leader = topology.Leader is null
            ? null
            : new LeaderLinks(
                topology.Degrees.Stages,
                [.. topology.Leader.Plans.Select(end => open[end])],
                open[topology.Leader.Results]);
        return new StageLinks(
            topology,
            open[topology.Plans],
            Optional(topology.ActivationsIn),
            Optional(topology.ActivationsOut),
            Optional(topology.Results),
            MakeCollective(topology, open),
            leader);

        ILink? Optional(LinkEnd? end) => end is null ? null : open[end];
    }

    private ICollective MakeCollective(StageTopology topology, Dictionary<LinkEnd, ILink> open)
    {
        var rankCount = topology.Degrees.Ranks;
        if (rankCount == 1) return new SingleRankCollective();
        if (topology.RanksShareMemory) return _hub.Join(topology.Epoch, topology.Self, rankCount);
        var links = new SocketLink?[rankCount];
        foreach (var end in topology.Ranks) links[end.Other.Rank] = (SocketLink)open[end];
        return new TcpCollective(topology.Self.Rank, links);
    }
}
