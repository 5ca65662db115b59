using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Metrics;
using SpotServe.Seed.Api;
using SpotServe.Seed.Fleet;
using SpotServe.Seed.Narration;

namespace SpotServe.Seed.Dashboard.Live;

/// <summary>
/// The one read model behind all dashboards of this process: twice a second it makes a <see cref="ClusterSnapshot"/> of
/// what the planner and the gateway have told already. However many pages are open, no actor is asked more often: the
/// timeline is asked for when the phase has changed, and the fleet manager by <see cref="FleetWatch"/>.
/// </summary>
internal sealed class ClusterWatch(
    ClusterBoard board,
    IClusterOperator cluster,
    CompletionModel model,
    FleetWatch fleet,
    IClusterMetrics metrics,
    NodeNames names,
    LocalNodes local,
    TimeProvider clock) : BackgroundService
{
    /// <summary>Five minutes.</summary>
    public const int SamplesMax = 300;

    private const int TimelineShown = 12;
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan SamplePeriod = TimeSpan.FromSeconds(1);

    private readonly SnapshotBuilder _builder = new(names, local);
    private readonly TokenRate _rate = new();
    private readonly LatencyWindow _first = new("vllm:time_to_first_token_seconds");
    private readonly LatencyWindow _between = new("vllm:inter_token_latency_seconds");
    private readonly Queue<LoadSample> _samples = new();
    private (long Epoch, PlannerPhase Phase)? _asked;
    private Task<ImmutableArray<ReconfigurationRecord>>? _asking;
    private ImmutableArray<ReconfigurationRecord> _timeline = [];
    private volatile ClusterSnapshot _latest = new() { At = clock.GetUtcNow(), Model = model.Name };

    /// <summary>Never null, never waits.</summary>
    public ClusterSnapshot Latest => _latest;

    /// <summary>Raised twice a second at most, on a pool thread: return quickly.</summary>
    public event Action? Changed;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Period, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false))
            {
                await ReadTimelineAsync(stoppingToken).ConfigureAwait(false);
                // Before the planner's first word there may be no actor that could be asked.
                if (board.View is not null) await fleet.ReadAsync(stoppingToken).ConfigureAwait(false);
                _latest = Make();
                Changed?.Invoke();
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The process stops.
        }
    }

    private ClusterSnapshot Make()
    {
        var now = clock.GetUtcNow();
        var blank = new ClusterSnapshot
        {
            At = now,
            Model = model.Name,
            Timeline = _timeline,
            Fleet = fleet.Latest,
        };
        if (board.View is not { } view) return blank;
        var gateway = board.Gateway;
        var perSecond = _rate.Add(now, view.Loads);
        var running = view.Loads.Sum(replica => replica.Running);
        var open = gateway?.Open ?? 0;
        var load = new LoadView(
            running, Math.Max(view.Loads.Sum(replica => replica.Queued), open - running), open, gateway?.OpenMax ?? 0,
            perSecond);
        Sample(now, load, view.ServingEpoch.Value);
        var snapshot = _builder.Build(blank, view);
        return snapshot with { Load = load, History = [.. _samples], Cost = Cost(snapshot.Nodes, perSecond) };
    }

    private void Sample(DateTimeOffset now, LoadView load, long epoch)
    {
        if (_samples.Count > 0 && now - _samples.Last().At < SamplePeriod - (Period / 2)) return;
        if (_samples.Count == SamplesMax) _samples.Dequeue();
        _samples.Enqueue(new LoadSample(
            now, load.TokensPerSecond, load.Running, load.Waiting, _first.Look(now, metrics),
            _between.Look(now, metrics), epoch));
    }

    private static CostView Cost(ImmutableArray<NodeView> nodes, double tokensPerSecond)
    {
        var present = nodes.Where(node => node.State != NodeState.Gone).ToArray();
        var priced = present.Where(node => node.Price is not null).ToArray();
        if (priced.Length == 0) return CostView.Unknown with { Unpriced = present.Length };
        var perHour = priced.Sum(node => node.Price!.Value);
        return new CostView(
            perHour,
            tokensPerSecond < 0.01 ? null : perHour / 3600 / tokensPerSecond * 1e6,
            present.Length - priced.Length);
    }

    /// <summary>Takes the answer to the last question, and asks again when something has happened since.</summary>
    private async Task ReadTimelineAsync(CancellationToken cancel)
    {
        if (_asking is { IsCompleted: true } answered)
        {
            _asking = null;
            try
            {
                var all = await answered.ConfigureAwait(false);
                _timeline = [.. all.Reverse().Take(TimelineShown)];
                // What was under way has gone on meanwhile.
                if (all is [.., { Outcome: ReconfigurationRecord.UnderWay }]) _asked = null;
            }
            catch (PlannerSilentException)
            {
                _asked = null;
            }
        }

        if (_asking is not null || board.View is not { } view) return;
        var at = (view.Epoch.Value, view.Phase);
        if (_asked == at) return;
        _asked = at;
        _asking = cluster.TimelineAsync(cancel);
    }
}
