using System.Collections.Immutable;
using Akka.Actor;
using Akka.Cluster;
using Akka.Event;
using SpotServe.Actors.Remoting;

namespace SpotServe.Actors.Metrics;

/// <summary>
/// One in each process: tells every control node each second what this process has measured, and on a control node
/// takes in what the others say. It goes past the planner, which has better things to do and moves.
/// </summary>
internal sealed class MetricsActor : ReceiveActor, IWithTimers
{
    /// <summary>Of the actor, the same in every process: reports go to this path.</summary>
    public const string Name = "metrics";

    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly ProcessMetrics _own;
    private readonly ClusterMetrics? _all;
    private readonly Akka.Cluster.Cluster _cluster;
    private readonly RefusalLog _refusals;
    private long _number;

    /// <param name="all">Where reports are taken in; null on a process that is no control node.</param>
    public MetricsActor(
        ProcessMetrics own, ClusterMetrics? all, Akka.Cluster.Cluster cluster, TimeProvider clock)
    {
        _own = own;
        _all = all;
        _cluster = cluster;
        _refusals = new RefusalLog(Context.GetLogger(), clock, Context.System);
        // An actor that is started again goes on counting where its process's reports are.
        _number = clock.GetUtcNow().UtcTicks;
        Receive<Report>(_ => OnReport());
        Receive<MetricsProtocol.ProcessReport>(OnProcessReport);
    }

    public ITimerScheduler Timers { get; set; } = null!;

    protected override void PreStart() =>
        Timers.StartPeriodicTimer(nameof(Report), Report.Instance, TimeSpan.Zero, Period);

    private void OnReport()
    {
        var families = _own.Read();
        _number++;
        _all?.Take(_own.ProcessId, _number, NodeOf(_cluster.SelfAddress), families);
        var others = _cluster.State.Members
            .Where(member => member.HasRole(MemberRoles.Control) && member.Address != _cluster.SelfAddress)
            .Where(member => member.Status is MemberStatus.Up or MemberStatus.WeaklyUp or MemberStatus.Leaving)
            .ToImmutableArray();
        if (others.IsEmpty) return;
        if (MetricsCodec.Encode(families) is not { } content)
        {
            CollectionMetrics.Dropped.Add(1);
            return;
        }

        var report = new MetricsProtocol.ProcessReport(_own.ProcessId, _number, content);
        foreach (var member in others)
            Context.ActorSelection(new RootActorPath(member.Address) / "user" / Name).Tell(report);
    }

    private void OnProcessReport(MetricsProtocol.ProcessReport report)
    {
        if (_all is null) return;
        try
        {
            _all.Take(
                report.Process, report.Number, NodeOf(Sender.Path.Address),
                MetricsCodec.Decode(report.Content, MetricCatalogue.All));
        }
        catch (InvalidDataException error)
        {
            CollectionMetrics.Dropped.Add(1);
            _refusals.Warn($"Dropped the metrics of {Sender.Path.Address}: {error.Message}");
        }
    }

    private static string NodeOf(Address address) => $"{address.Host}:{address.Port}";

    private sealed record Report
    {
        public static Report Instance { get; } = new();
    }
}
