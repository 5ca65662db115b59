using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// One copy of pages, for a leader's replica: has every device of the replica copy its part, asks those again that have
/// not answered, since messages may be lost, tells the replica once how it ended, and stops (docs/adr/0086). When one
/// device cannot, or nobody waits any more, the others are told to leave it, and the copy is over when each has
/// answered: until then one of them may write to pages that the replica believes to be free. How long it may take is
/// for the planner to say, which closes the position.
/// </summary>
internal sealed class PageCopyActor : ReceiveActor, IWithTimers
{
    private static readonly TimeSpan RepeatAfter = TimeSpan.FromMilliseconds(500);

    private readonly HandoverProtocol.CopyPages _copy;
    private readonly IActorRef _replica;
    private readonly LargeMessages _large = LargeMessages.Of(Context.System);
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly List<Part> _open;
    private long _bytes;
    private string? _lost;

    public PageCopyActor(HandoverProtocol.CopyPages copy, ImmutableArray<Part> parts, IActorRef replica)
    {
        Invariant.Holds(!parts.IsEmpty, "a replica has devices");
        _copy = copy;
        _replica = replica;
        _open = [.. parts];
        Receive<DevicePagesCopied>(OnCopied);
        Receive<DevicePagesLost>(OnLost);
        Receive<HandoverProtocol.CancelCopies>(_ => Cancel("nobody waits for them any more"));
        Receive<Repeat>(_ => AskAll());
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(HandoverProtocol.CopyPages copy, ImmutableArray<Part> parts, IActorRef replica) =>
        // By type: the arguments of an expression would be compiled for each copy.
        Akka.Actor.Props.Create<PageCopyActor>(copy, parts, replica);

    protected override void PreStart()
    {
        Timers.StartPeriodicTimer(nameof(Repeat), Repeat.Instance, RepeatAfter);
        AskAll();
    }

    private void AskAll()
    {
        foreach (var part in _open) Ask(part);
    }

    private void Ask(Part part)
    {
        if (_lost is not null)
        {
            part.Node.Tell(new CancelDevicePages(_copy.Epoch, part.Device, _copy.Job));
            return;
        }

        // A repetition would stand behind the first time, which is still on its way.
        if (_large.IsWaiting(part.Node, Self)) return;
        var order = new CopyDevicePages(
            _copy.Epoch, part.Device, _copy.Job, _copy.OldReplica, _copy.From, _copy.To, _copy.Urgent);
        // It is asked again.
        if (_large.Tell(part.Node, order, Self) is { } refusal)
            _log.Warning("{Device} could not be asked for pages: {Reason}", part.Device, refusal.Reason);
    }

    private void OnCopied(DevicePagesCopied copied)
    {
        // One that was asked twice answers twice, and says the same.
        if (_open.RemoveAll(part => part.Device == copied.Device) == 0) return;
        _bytes += copied.Bytes;
        EndWhenAllAnswered();
    }

    private void OnLost(DevicePagesLost lost)
    {
        if (_open.RemoveAll(part => part.Device == lost.Device) == 0) return;
        Cancel(lost.Reason);
        EndWhenAllAnswered();
    }

    private void Cancel(string reason)
    {
        if (_lost is not null) return;
        _lost = reason;
        AskAll();
    }

    private void EndWhenAllAnswered()
    {
        if (_open.Count > 0) return;
        HandoverProtocol.IMessage outcome = _lost is { } reason
            ? new HandoverProtocol.PagesLost(_copy.Epoch, _copy.Job, reason)
            : new HandoverProtocol.PagesCopied(_copy.Epoch, _copy.Job, _bytes);
        _replica.Tell(outcome, Context.Parent);
        Context.Stop(Self);
    }

    /// <summary>A device of the replica, and the actor of its node.</summary>
    internal sealed record Part(DeviceId Device, IActorRef Node);

    private sealed record Repeat
    {
        public static Repeat Instance { get; } = new();
    }
}
