using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Akka.Actor;
using static SpotServe.Actors.Replica.HandoverProtocol;

namespace SpotServe.Actors.Replica;

/// <summary>
/// Which copies of pages the new replica has asked its parent for, and which have to wait. Two copies never write to
/// the same page at once: the later one waits, or the earlier one, of a sequence that is gone, could overwrite what it
/// brought.
/// </summary>
internal sealed class PageCopyQueue(Epoch epoch, IActorRef parent, IActorRef self)
{
    private readonly Dictionary<long, Copy> _running = [];
    private readonly List<Copy> _waiting = [];
    private readonly HashSet<int> _busy = [];
    private long _lastJob;

    /// <summary>Nothing runs and nothing waits.</summary>
    public bool IsIdle => _running.Count + _waiting.Count == 0;

    public long Bytes { get; private set; }

    /// <summary>Pages that a running copy writes to.</summary>
    public IReadOnlyCollection<int> BusyPages => _busy;

    public void Ask(int oldReplica, ImmutableArray<int> from, ImmutableArray<int> to, ArrivingPages content)
    {
        Invariant.Holds(from.Length == to.Length && to.Length > 0);
        _waiting.Add(new Copy(
            new CopyPages(epoch, ++_lastJob, oldReplica, from, to, content.IsUrgent), content));
        StartWaiting();
    }

    /// <summary>A copy is over, one way or the other. False when it is not known (any more).</summary>
    public bool TryEnd(long job, long bytes, [NotNullWhen(true)] out Copy? copy)
    {
        if (!_running.Remove(job, out copy)) return false;
        Bytes += bytes;
        _busy.ExceptWith(copy.Request.To);
        StartWaiting();
        return true;
    }

    /// <summary>Nobody waits for copies any more: those that were not begun are forgotten, and those that run are to
    /// end, so that their pages are free again and their bytes do not keep a link from what is wanted.</summary>
    public void Cancel()
    {
        _waiting.Clear();
        if (_running.Count > 0) parent.Tell(new CancelCopies(epoch), self);
    }

    private void StartWaiting()
    {
        // In order: one that must wait also keeps its pages from those behind it.
        HashSet<int> promised = [];
        for (var i = 0; i < _waiting.Count;)
        {
            var copy = _waiting[i];
            if (copy.Request.To.Any(page => _busy.Contains(page) || promised.Contains(page)))
            {
                promised.UnionWith(copy.Request.To);
                i++;
                continue;
            }

            _waiting.RemoveAt(i);
            _busy.UnionWith(copy.Request.To);
            _running.Add(copy.Request.Job, copy);
            parent.Tell(copy.Request, self);
        }
    }

    internal sealed record Copy(CopyPages Request, ArrivingPages Content);
}
