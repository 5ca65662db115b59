using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>The position's part in copying pages: for its own device, and for all of its replica on the
/// leader's.</summary>
internal sealed partial class PositionActor
{
    private static readonly TimeSpan RepeatAfter = TimeSpan.FromMilliseconds(500);

    /// <summary>Longest wait for the rehearsal of copying pages.</summary>
    private static readonly TimeSpan RehearseMax = TimeSpan.FromMilliseconds(400);

    private void Rehearse(PositionOrigin origin)
    {
        Timers.StartSingleTimer(nameof(Rehearsed), Rehearsed.Instance, RehearseMax);
        PageCopy.RehearseAsync(_runtime, _pageFetcher!, _connect!, Assignment, origin, _work.Token).PipeTo(
            Self, success: () => Rehearsed.Instance, failure: _ => Rehearsed.Instance);
    }

    /// <summary>Comes twice when the rehearsal takes long: then the planner hears twice.</summary>
    private void OnRehearsed()
    {
        Timers.Cancel(nameof(Rehearsed));
        ReportConnected();
    }

    /// <summary>From this position's replica: every device of the replica copies its part.</summary>
    private void OnCopyPages(HandoverProtocol.CopyPages copy)
    {
        _copyJobs.Begin(copy, Sender, _connect!.Replica.Devices, device => AskToCopy(device, copy));
        if (Timers.IsTimerActive(nameof(RepeatCopies))) return;
        Timers.StartPeriodicTimer(nameof(RepeatCopies), RepeatCopies.Instance, RepeatAfter);
    }

    private void AskToCopy(DeviceId device, HandoverProtocol.CopyPages copy)
    {
        var node = _connect!.Nodes[device.Node];
        // A repetition would stand behind the first time, which is still on its way.
        if (_large.IsWaiting(node, Self)) return;
        var part = new CopyDevicePages(_epoch, device, copy.Job, copy.OldReplica, copy.From, copy.To, copy.Urgent);
        // It is asked again.
        if (_large.Tell(node, part, Self) is { } refusal)
            _log.Warning("{Device} could not be asked for pages: {Reason}", device, refusal.Reason);
    }

    private void OnRepeatCopies()
    {
        if (_copyJobs.IsIdle) Timers.Cancel(nameof(RepeatCopies));
        else _copyJobs.Repeat();
    }

    private void OnCopyDevicePages(CopyDevicePages copy)
    {
        // A job that comes again is answered again, not done again: by now its pages may be another sequence's.
        if (!_deviceCopies.IsNew(copy.Job, Sender, Self)) return;
        var device = _command.Device;
        PageCopy.RunAsync(_runtime, _pageFetcher!, _connect!, Assignment, copy, _work.Token).PipeTo(
            Self,
            success: bytes => new CopyEnded(copy.Job, new DevicePagesCopied(_epoch, copy.Job, device, bytes)),
            failure: error => new CopyEnded(
                copy.Job, new DevicePagesLost(_epoch, copy.Job, device, error.Message)));
    }

    private sealed record Rehearsed : INoSerializationVerificationNeeded
    {
        public static Rehearsed Instance { get; } = new();
    }

    private sealed record RepeatCopies
    {
        public static RepeatCopies Instance { get; } = new();
    }
}
