using Akka.Actor;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Cluster;

/// <summary>The leader's view of page copies under way: a job is over when every device has answered. Devices that have
/// not are asked again, since messages may be lost.</summary>
internal sealed class PageCopyJobs(IActorRef self)
{
    private readonly Dictionary<long, Job> _jobs = [];

    public bool IsIdle => _jobs.Count == 0;

    /// <param name="ask">Has a device copy its part.</param>
    public void Begin(
        HandoverProtocol.CopyPages copy, IActorRef replyTo, IReadOnlyList<DeviceId> devices, Action<DeviceId> ask)
    {
        // A repeated job starts over; late answers of the first time count as well, for they say the same.
        _jobs[copy.Job] = new Job(replyTo, devices, ask);
        foreach (var device in devices) ask(device);
    }

    /// <summary>Asks devices again that have not answered for a period.</summary>
    public void Repeat()
    {
        foreach (var job in _jobs.Values)
        {
            if (job.IsFresh)
            {
                job.IsFresh = false;
                continue;
            }

            foreach (var device in job.Devices.Where(device => !job.Answered.Contains(device))) job.Ask(device);
        }
    }

    public void OnCopied(ClusterProtocol.DevicePagesCopied copied)
    {
        if (!_jobs.TryGetValue(copied.Job, out var job) || !job.Answered.Add(copied.Device)) return;
        job.Bytes += copied.Bytes;
        if (job.Answered.Count < job.Devices.Count) return;
        _jobs.Remove(copied.Job);
        job.ReplyTo.Tell(new HandoverProtocol.PagesCopied(copied.Epoch, copied.Job, job.Bytes), self);
    }

    public void OnLost(ClusterProtocol.DevicePagesLost lost)
    {
        if (!_jobs.Remove(lost.Job, out var job)) return;
        job.ReplyTo.Tell(new HandoverProtocol.PagesLost(lost.Epoch, lost.Job, lost.Reason), self);
    }

    private sealed class Job(IActorRef replyTo, IReadOnlyList<DeviceId> devices, Action<DeviceId> ask)
    {
        public IActorRef ReplyTo => replyTo;

        public IReadOnlyList<DeviceId> Devices => devices;

        public Action<DeviceId> Ask => ask;

        public HashSet<DeviceId> Answered { get; } = [];

        public long Bytes { get; set; }

        /// <summary>Begun since the last repetition.</summary>
        public bool IsFresh { get; set; } = true;
    }
}

/// <summary>What a device copies and has copied for its leader, so that nothing is copied twice.</summary>
internal sealed class DeviceCopies
{
    private const int KeptMax = 4096;
    private readonly Dictionary<long, Copy> _copies = [];
    private readonly Queue<long> _oldest = [];
    private long _forgottenUpTo;

    /// <summary>Whether a job is to be begun. One that is known is answered, now or when it ends; one that came first
    /// so long ago that it is forgotten is nobody's any more.</summary>
    public bool IsNew(long job, IActorRef asker, IActorRef self)
    {
        if (job <= _forgottenUpTo) return false;
        if (_copies.TryGetValue(job, out var known))
        {
            if (known.Answer is { } answer) asker.Tell(answer, self);
            else known.Askers.Add(asker);
            return false;
        }

        _copies.Add(job, new Copy(asker));
        _oldest.Enqueue(job);
        if (_oldest.Count > KeptMax)
        {
            _forgottenUpTo = _oldest.Dequeue();
            _copies.Remove(_forgottenUpTo);
        }

        return true;
    }

    public void End(long job, ClusterProtocol.IEpochMessage answer, IActorRef self)
    {
        if (!_copies.TryGetValue(job, out var copy)) return;
        copy.Answer = answer;
        foreach (var asker in copy.Askers) asker.Tell(answer, self);
        copy.Askers.Clear();
    }

    private sealed class Copy(IActorRef asker)
    {
        public HashSet<IActorRef> Askers { get; } = [asker];

        public ClusterProtocol.IEpochMessage? Answer { get; set; }
    }
}
