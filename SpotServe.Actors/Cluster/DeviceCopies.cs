using System.Diagnostics.CodeAnalysis;
using Akka.Actor;

namespace SpotServe.Actors.Cluster;

/// <summary>What a device copies and has copied for its leader, so that nothing is copied twice: a question that was
/// repeated may arrive when its pages are another sequence's by now.</summary>
internal sealed class DeviceCopies : IDisposable
{
    /// <summary>Of copies that are over. One that runs is never forgotten: its pages are written to.</summary>
    private const int KeptMax = 4096;
    private readonly Dictionary<long, Copy> _copies = [];
    private readonly Queue<long> _oldest = [];
    private long _forgottenUpTo;

    /// <summary>Whether a job is to be begun. One that is known is answered, now or when it ends; one that came first
    /// so long ago that it is forgotten is nobody's any more.</summary>
    /// <param name="life">Ends every copy of the device.</param>
    /// <param name="cancel">Ends this one.</param>
    public bool TryBegin(
        long job, IActorRef asker, IActorRef self, CancellationToken life, out CancellationToken cancel)
    {
        cancel = CancellationToken.None;
        if (!TryAdd(job, asker, self, out var copy)) return false;
        copy.Work = CancellationTokenSource.CreateLinkedTokenSource(life);
        cancel = copy.Work.Token;
        return true;
    }

    /// <summary>Ends a job that runs, which is answered when nothing writes to its pages any more. One that is not
    /// known is not begun later, and answered at once.</summary>
    /// <param name="lost">That its pages are not here.</param>
    public void Cancel(long job, ClusterProtocol.IEpochMessage lost, IActorRef asker, IActorRef self)
    {
        if (TryAdd(job, asker, self, out _)) End(job, lost, self);
        else if (_copies.TryGetValue(job, out var known)) known.Work?.Cancel();
        else asker.Tell(lost, self);
    }

    public void End(long job, ClusterProtocol.IEpochMessage answer, IActorRef self)
    {
        if (!_copies.TryGetValue(job, out var copy)) return;
        copy.Work?.Dispose();
        copy.Work = null;
        copy.Answer = answer;
        foreach (var asker in copy.Askers) asker.Tell(answer, self);
        copy.Askers.Clear();
    }

    public void Dispose()
    {
        foreach (var copy in _copies.Values) copy.Work?.Dispose();
    }

    private bool TryAdd(long job, IActorRef asker, IActorRef self, [NotNullWhen(true)] out Copy? added)
    {
        added = null;
        if (_copies.TryGetValue(job, out var known))
        {
            if (known.Answer is { } answer) asker.Tell(answer, self);
            else known.Askers.Add(asker);
            return false;
        }

        if (job <= _forgottenUpTo) return false;
        added = new Copy(asker);
        _copies.Add(job, added);
        _oldest.Enqueue(job);
        while (_oldest.Count > KeptMax && _copies[_oldest.Peek()].Answer is not null)
        {
            // Questions are repeated when they are lost, so that a lower number may have come later.
            var forgotten = _oldest.Dequeue();
            _forgottenUpTo = Math.Max(_forgottenUpTo, forgotten);
            _copies.Remove(forgotten);
        }

        return true;
    }

    private sealed class Copy(IActorRef asker)
    {
        public HashSet<IActorRef> Askers { get; } = [asker];

        /// <summary>Null when it is over.</summary>
        public CancellationTokenSource? Work { get; set; }

        public ClusterProtocol.IEpochMessage? Answer { get; set; }
    }
}
