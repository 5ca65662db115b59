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

    private void OnCopyDevicePages(CopyDevicePages copy)
    {
        // A job that comes again is answered again, not done again: by now its pages may be another sequence's.
        if (!_deviceCopies.IsNew(copy.Job, Sender, Self)) return;
        var device = _command.Device;
        DevicePageCopy.RunAsync(_runtime, _pageFetcher!, _connect!, Assignment, copy, _work.Token).PipeTo(
            Self,
            success: bytes => new CopyEnded(copy.Job, new DevicePagesCopied(_epoch, copy.Job, device, bytes)),
            failure: error => new CopyEnded(
                copy.Job, new DevicePagesLost(_epoch, copy.Job, device, error.Message)));
    }

    private sealed record Rehearsed : INoSerializationVerificationNeeded
    {
        public static Rehearsed Instance { get; } = new();
    }
}
