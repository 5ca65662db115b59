using Akka.Actor;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Cluster;

/// <summary>One device's part of copying an old replica's pages into its new engine.</summary>
internal static class PageCopy
{
    /// <returns>Bytes that were copied; 0 when all stays in place.</returns>
    /// <exception cref="SliceLostException">Some of it cannot be had any more.</exception>
    public static async Task<long> RunAsync(
        IDeviceRuntime runtime,
        ISliceFetcher fetcher,
        ClusterProtocol.ConnectPosition connect,
        StageAssignment assignment,
        ClusterProtocol.CopyDevicePages copy,
        CancellationToken cancel)
    {
        Invariant.Holds(connect.Origin is not null, "pages are copied when there are some to go on with");
        Invariant.Holds(copy.From.Length == copy.To.Length);
        var origin = connect.Origin;
        var position = assignment.Position;
        var inPlace = copy.OldReplica == origin.Homes[position.Replica] && origin.SharedOn.Contains(copy.Device)
            ? PageMoves.InPlace(runtime.Model, origin.Layout, copy.OldReplica, connect.Layout, position)
            : default;
        var bytes = 0L;
        foreach (var move in PageMoves.Of(
            runtime.Model, origin.Layout, copy.OldReplica, connect.Layout, position, inPlace))
        {
            for (var first = 0; first < copy.From.Length; first += PageRun.PagesMax)
            {
                var count = Math.Min(PageRun.PagesMax, copy.From.Length - first);
                bytes += await MoveAsync(
                    runtime, fetcher, origin.Epoch, copy, move, first, count, cancel).ConfigureAwait(false);
            }
        }

        return bytes;
    }

    private static async Task<long> MoveAsync(
        IDeviceRuntime runtime,
        ISliceFetcher fetcher,
        Epoch oldEpoch,
        ClusterProtocol.CopyDevicePages copy,
        PageMove move,
        int first,
        int count,
        CancellationToken cancel)
    {
        var source = new PageRun(oldEpoch, move.Layers, move.KvHeads, copy.From.Slice(first, count));
        var request = new SliceRequest(copy.Epoch, move.From, null, source, copy.Urgent);
        using var into = runtime.OpenPages(source with { Epoch = copy.Epoch, Pages = copy.To.Slice(first, count) })
            ?? throw new SliceLostException(request, "the new engine has no such pages");
        await fetcher.FetchAsync(request, into, cancel).ConfigureAwait(false);
        return into.Bytes;
    }
}

/// <summary>The leader's view of page copies under way: a job is over when every device has answered.</summary>
internal sealed class PageCopyJobs(IActorRef self)
{
    private readonly Dictionary<long, Job> _jobs = [];

    public void Begin(HandoverProtocol.CopyPages copy, IActorRef replyTo, int deviceCount)
    {
        // A repeated job starts over; late answers of the first time count as well, for they say the same.
        _jobs[copy.Job] = new Job(copy, replyTo, deviceCount);
    }

    public void OnCopied(ClusterProtocol.DevicePagesCopied copied)
    {
        if (!_jobs.TryGetValue(copied.Job, out var job) || !job.Answered.Add(copied.Device)) return;
        job.Bytes += copied.Bytes;
        if (job.Answered.Count < job.DeviceCount) return;
        _jobs.Remove(copied.Job);
        job.ReplyTo.Tell(new HandoverProtocol.PagesCopied(copied.Epoch, copied.Job, job.Bytes), self);
    }

    public void OnLost(ClusterProtocol.DevicePagesLost lost)
    {
        if (!_jobs.Remove(lost.Job, out var job)) return;
        job.ReplyTo.Tell(new HandoverProtocol.PagesLost(lost.Epoch, lost.Job, lost.Reason), self);
    }

    private sealed class Job(HandoverProtocol.CopyPages copy, IActorRef replyTo, int deviceCount)
    {
        public HandoverProtocol.CopyPages Copy { get; } = copy;

        public IActorRef ReplyTo { get; } = replyTo;

        public int DeviceCount { get; } = deviceCount;

        public HashSet<DeviceId> Answered { get; } = [];

        public long Bytes { get; set; }
    }
}
