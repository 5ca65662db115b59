namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Sequences that run apart from all others until they have passed a place: each set has steps of its own. They are
/// there because a step with them failed and nobody knows whose fault it was: halved after each failure, a set comes
/// down to the culprit within as many steps as a binary tree over the suspects has nodes, 2n - 1 for n, and every set
/// that passes is cleared at once.
/// </summary>
internal sealed class ApartSets
{
    private readonly List<SequenceList> _sets = [];

    /// <summary>Sequences in all sets.</summary>
    public int Count
    {
        get
        {
            var count = 0;
            foreach (var set in _sets) count += set.Count;
            return count;
        }
    }

    public bool IsEmpty => _sets.TrueForAll(set => set.Count == 0);

    /// <summary>The sets that have sequences, the longest waiting first. They may be emptied meanwhile.</summary>
    public IEnumerable<SequenceList> Sets
    {
        get
        {
            _sets.RemoveAll(static set => set.Count == 0);
            return _sets.ToArray();
        }
    }

    /// <summary>A set of its own.</summary>
    public void Add(Sequence sequence)
    {
        var set = new SequenceList();
        set.AddLast(sequence);
        _sets.Add(set);
    }

    /// <summary>Two sets, as equal as can be; one for a single suspect.</summary>
    public void AddHalves(IReadOnlyList<Sequence> suspects)
    {
        var half = (suspects.Count + 1) / 2;
        var (first, second) = (new SequenceList(), new SequenceList());
        for (var i = 0; i < suspects.Count; i++) (i < half ? first : second).AddLast(suspects[i]);
        _sets.Add(first);
        _sets.Add(second);
    }

    public bool Contains(SequenceList? list) => list is not null && _sets.Contains(list);

    /// <summary>Puts a set behind all others, so that each has its turn.</summary>
    public void MoveLast(SequenceList set)
    {
        if (_sets.Remove(set)) _sets.Add(set);
    }
}
