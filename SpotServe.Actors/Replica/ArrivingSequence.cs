using System.Collections.Immutable;
using static SpotServe.Actors.Replica.HandoverProtocol;

namespace SpotServe.Actors.Replica;

/// <summary>A sequence on its way to a new replica: the pages heard of, and where each goes.</summary>
internal sealed class ArrivingSequence
{
    private readonly List<int> _from = [];
    private readonly List<ArrivingPage> _to = [];
    private int _copying;
    private int _residence;

    /// <summary>Changes when its pages turn out to be others: what was under way for the old ones is void.</summary>
    public int Version { get; private set; }

    /// <summary>Some of its pages cannot be had.</summary>
    public bool IsLost { get; private set; }

    /// <summary>As the old replica's last step left it; null before.</summary>
    public HandedSequence? Handed { get; set; }

    /// <summary>Its pages here, complete and in order; empty when it comes without.</summary>
    public ImmutableArray<ArrivingPage> Pages =>
        !IsLost && _copying == 0 && Handed is { CachedTokens: > 0 } handed && handed.CachedTokens < TokenCount(handed)
        && _to.Count == _from.Count && _to.Count == KvPage.Count(handed.CachedTokens)
        && _to.TrueForAll(static page => page.IsHere)
            ? [.. _to]
            : [];

    /// <summary>Hears of pages from an index on. From 0 again, or in another residence, means that all are others now.
    /// The residence is compared because the message with the first of them may have been lost: as many pages of
    /// before would else be taken for them.</summary>
    /// <returns>The part that has to be brought, or null when there is none.</returns>
    public ArrivingPart? Append(
        int residence, int firstIndex, ImmutableArray<int> pages, ImmutableArray<long> births)
    {
        var areOthers = firstIndex == 0 || residence != _residence;
        if (areOthers && (_from.Count > 0 || IsLost)) Restart();
        _residence = residence;
        if (firstIndex != _from.Count) IsLost = true;   // a message in between was lost
        if (IsLost || pages.IsEmpty) return null;
        _from.AddRange(pages);
        _copying++;
        return new ArrivingPart(this, Version, pages, births);
    }

    /// <summary>Notes where the pages of a part go.</summary>
    public void Assign(IEnumerable<ArrivingPage> to) => _to.AddRange(to);

    /// <summary>A part is here, or cannot be had.</summary>
    public void End(ArrivingPart part, bool arrived)
    {
        if (part.Version != Version) return;
        _copying--;
        Invariant.Holds(_copying >= 0);
        IsLost |= !arrived;
    }

    private void Restart()
    {
        Version++;
        IsLost = false;
        _copying = 0;
        _from.Clear();
        _to.Clear();
    }

    private static int TokenCount(HandedSequence handed) => handed.Spec.Prompt.Length + handed.Generated.Length;
}

/// <summary>A page of an old replica on its way to an id here. Sequences that share it there share it here.</summary>
/// <param name="to">Its id here.</param>
internal sealed class ArrivingPage(int to)
{
    public int To => to;

    /// <summary>Null while it is on its way.</summary>
    public bool? Arrived { get; set; }

    public bool IsHere => Arrived == true;
}

/// <summary>Consecutive pages of one sequence, by the old replica's ids.</summary>
/// <param name="Births">As of <see cref="SequencePages"/>; none where no page is known to be shared.</param>
internal sealed record ArrivingPart(
    ArrivingSequence Sequence, int Version, ImmutableArray<int> Pages, ImmutableArray<long> Births)
{
    public bool IsVoid => Version != Sequence.Version || Sequence.IsLost;
}

/// <summary>Pages that one message told of.</summary>
/// <param name="Round">To be answered when they are here; null at the end, where nobody waits.</param>
internal sealed record ArrivingPages(int OldReplica, int? Round, ImmutableArray<ArrivingPart> Parts)
{
    public bool IsUrgent => Round is null;

    /// <summary>Those that have to be copied for it; the others come with what was told before.</summary>
    public ImmutableArray<ArrivingPage> Fresh { get; init; } = [];
}
