using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>The position's part in copying pages: for its own device, and for all of its replica on the
/// leader's.</summary>
internal sealed partial class PositionActor
{
    /// <summary>Longest wait for the rehearsal of copying pages.</summary>
    private static readonly TimeSpan RehearseMax = TimeSpan.FromMilliseconds(400);

    private void Rehearse(PositionOrigin origin)
    {
        Timers.StartSingleTimer(nameof(Rehearsed), Rehearsed.Instance, RehearseMax);
        DevicePageCopy.RehearseAsync(_runtime, _pageFetcher!, _connect!, Assignment, origin, _work.Token).PipeTo(
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
        var parts = ImmutableArray.CreateBuilder<PageCopyActor.Part>();
        foreach (var device in _connect!.Replica.Devices)
        {
            if (!_connect.Nodes.TryGetValue(device.Node, out var node))
            {
                Sender.Tell(new HandoverProtocol.PagesLost(_epoch, copy.Job, $"the node of {device} is not known"));
                return;
            }

            parts.Add(new PageCopyActor.Part(device, node));
        }

        Context.ActorOf(PageCopyActor.Props(copy, parts.ToImmutable(), Sender), $"copy-{copy.Job}");
    }

    /// <summary>From this position's replica.</summary>
    private void OnCancelCopies(HandoverProtocol.CancelCopies cancel)
    {
        foreach (var copy in Context.GetChildren().Where(child => !child.Equals(_replica))) copy.Tell(cancel);
    }

    private void OnCopyDevicePages(CopyDevicePages copy)
    {
        // A job that comes again is answered again, not done again: by now its pages may be another sequence's.
        if (!_deviceCopies.TryBegin(copy.Job, Sender, Self, _work.Token, out var cancel)) return;
        var device = _command.Device;
        DevicePageCopy.RunAsync(_runtime, _pageFetcher!, _connect!, Assignment, copy, cancel).PipeTo(
            Self,
            success: bytes => new CopyEnded(copy.Job, new DevicePagesCopied(_epoch, copy.Job, device, bytes)),
            failure: error => new CopyEnded(
                copy.Job, new DevicePagesLost(_epoch, copy.Job, device, error.Message)));
    }

    private void OnCancelDevicePages(CancelDevicePages cancel) =>
        RefusePages(cancel.Job, "nobody wants them any more");

    /// <summary>A job that is not begun now is not begun later: its pages may be another sequence's by then.</summary>
    private void RefusePages(long job, string reason) => _deviceCopies.Cancel(
        job, new DevicePagesLost(_epoch, job, _command.Device, reason), Sender, Self);

    private sealed record Rehearsed : INoSerializationVerificationNeeded
    {
        public static Rehearsed Instance { get; } = new();
    }
}
