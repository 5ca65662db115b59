using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// The one place where notices of this node end, whoever gave them: it starts leaving the cluster and tells the node
/// actor. The cluster then lets the node exit, which begins the coordinated shutdown, whose first phase waits for the
/// <see cref="NodeDeparture"/>; until then remoting and all actors work.
/// </summary>
internal sealed class DepartureActor : ReceiveActor
{
    private readonly ILoggingAdapter _log = Context.GetLogger();

    /// <param name="leave">Starts leaving the cluster; called once.</param>
    public DepartureActor(NodeDeparture departure, IActorRef node, Action leave)
    {
        var leaving = false;
        Receive<PreemptionNotice>(notice =>
        {
            if (!departure.Announce(notice)) return;
            _log.Warning(
                "Preemption notice ({Source}): this node goes at {Deadline:O}", notice.Source, notice.Deadline);
            node.Tell(notice);
            if (leaving) return;
            leaving = true;
            leave();
        });
    }

    protected override void PreStart() => Context.System.EventStream.Subscribe(Self, typeof(PreemptionNotice));

    protected override void PostStop() => Context.System.EventStream.Unsubscribe(Self);
}
