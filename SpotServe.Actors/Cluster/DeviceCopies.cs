using Akka.Actor;

namespace SpotServe.Actors.Cluster;

/// <summary>What a device copies and has copied for its leader, so that nothing is copied twice: a question that was
/// repeated may arrive when its pages are another sequence's by now.</summary>
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
