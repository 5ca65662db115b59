namespace SpotServe.Actors.DataPlane;

/// <summary>
/// Where positions of one process meet: the first to ask for a link or a group makes it, the others get their end.
/// Nothing waits here: an end whose counterpart has not come yet simply blocks on use.
/// </summary>
internal sealed class InProcessHub
{
    /// <summary>Entries of one process; far above devices squared, so that reaching it means a leak.</summary>
    private const int EntriesMax = 65_536;

    private readonly Lock _gate = new();
    private readonly Dictionary<(LinkKey Key, bool IsFrom), InProcessLink> _halves = [];
    private readonly Dictionary<(Epoch Epoch, int Replica, int Stage), Gathering> _groups = [];
    private Epoch _oldest = Epoch.None;

    /// <summary>One end of a link; each end may be asked for once.</summary>
    public InProcessLink Link(LinkKey key, bool isFrom, int framesMax)
    {
        lock (_gate)
        {
            CheckEpoch(key.Epoch);
            if (_halves.Remove((key, isFrom), out var waiting)) return waiting;
            Invariant.Holds(_halves.Count < EntriesMax);
            var (from, to) = InProcessLink.Pair(key, framesMax);
            Invariant.Holds(_halves.TryAdd((key, !isFrom), isFrom ? to : from));
            return isFrom ? from : to;
        }
    }

    /// <summary>The collective of one rank of a stage all of whose ranks live here.</summary>
    public SharedMemoryCollective Join(Epoch epoch, Position self, int rankCount)
    {
        var key = (epoch, self.Replica, self.Stage);
        lock (_gate)
        {
            CheckEpoch(epoch);
            if (!_groups.TryGetValue(key, out var entry)) entry = new Gathering(new SharedMemoryGroup(rankCount), 0);
            if (entry.Joined + 1 == rankCount) _groups.Remove(key);
            else _groups[key] = entry with { Joined = entry.Joined + 1 };
            Invariant.Holds(_groups.Count < EntriesMax);
            return entry.Group.Join(self.Rank);
        }
    }

    /// <summary>Forgets what older epochs left behind; those who still wait on it are released.</summary>
    public void RetireBefore(Epoch epoch)
    {
        List<IDisposable> stale;
        lock (_gate)
        {
            if (epoch <= _oldest) return;
            _oldest = epoch;
            var keys = _halves.Keys.Where(half => half.Key.Epoch < epoch).ToList();
            var groups = _groups.Keys.Where(key => key.Epoch < epoch).ToList();
            stale = [.. keys.Select(key => _halves[key]), .. groups.Select(key => _groups[key].Group)];
            keys.ForEach(key => _halves.Remove(key));
            groups.ForEach(key => _groups.Remove(key));
        }

        stale.ForEach(entry => entry.Dispose());
    }

    private void CheckEpoch(Epoch epoch)
    {
        if (epoch < _oldest) throw new StaleEpochException(epoch, _oldest);
    }

    /// <summary>A group that not all ranks have joined yet.</summary>
    private sealed record Gathering(SharedMemoryGroup Group, int Joined);
}
