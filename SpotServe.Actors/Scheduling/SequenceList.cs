namespace SpotServe.Actors.Scheduling;

/// <summary>
/// A doubly linked list through the sequences themselves: no allocation, constant-time removal, and a sequence cannot
/// be in two lists at once.
/// </summary>
internal sealed class SequenceList
{
    private Sequence? _last;

    public Sequence? First { get; private set; }

    public int Count { get; private set; }

    public void AddLast(Sequence sequence) => InsertAfter(_last, sequence);

    /// <summary>Inserts before the first junior one. Constant time at either end.</summary>
    public void AddBySeniority(Sequence sequence)
    {
        var senior = First is not null && sequence.IsSeniorTo(First) ? null : _last;
        while (senior is not null && sequence.IsSeniorTo(senior)) senior = senior.Previous;
        InsertAfter(senior, sequence);
    }

    public void Remove(Sequence sequence)
    {
        Invariant.Holds(sequence.Container == this);
        if (sequence.Previous is null) First = sequence.Next;
        else sequence.Previous.Next = sequence.Next;
        if (sequence.Next is null) _last = sequence.Previous;
        else sequence.Next.Previous = sequence.Previous;
        sequence.Previous = null;
        sequence.Next = null;
        sequence.Container = null;
        Count--;
    }

    private void InsertAfter(Sequence? before, Sequence sequence)
    {
        Invariant.Holds(sequence.Container is null, "a sequence is in one list");
        var after = before is null ? First : before.Next;
        sequence.Container = this;
        sequence.Previous = before;
        sequence.Next = after;
        if (before is null) First = sequence;
        else before.Next = sequence;
        if (after is null) _last = sequence;
        else after.Previous = sequence;
        Count++;
    }
}
