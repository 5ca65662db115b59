using System.Diagnostics;

namespace SpotServe.Actors.Execution;

/// <summary>In which way a sequence makes a fake engine's step fail.</summary>
internal enum FakePoisonKind
{
    /// <summary>None: an ordinary sequence.</summary>
    None,

    /// <summary>Its logits are no numbers: the step fails and names it.</summary>
    NoNumber,

    /// <summary>A token that the model does not have is drawn for it.</summary>
    OutsideVocabulary,

    /// <summary>One rank of one stage breaks an invariant in the middle of the step, and names nobody.</summary>
    BrokenInvariant,

    /// <summary>The device is lost.</summary>
    LostDevice,
}

/// <summary>
/// Sequences that make <see cref="FakeStageEngine"/> fail, for tests and simulations. A sequence is one by the seed of
/// its sampling, which is all that an engine knows of it besides tokens; it fails in each step that runs its token at a
/// position of the maker's choice.
/// </summary>
internal static class FakePoison
{
    /// <summary>The seed's upper half; no other test draws it.</summary>
    private const ulong Mark = 0x9015_0900;

    /// <param name="position">Token, prompt included, at which it fails.</param>
    public static ulong Seed(FakePoisonKind kind, int position)
    {
        Invariant.Holds(position is >= 0 and < 1 << 24);
        return (Mark << 32) | ((ulong)kind << 24) | (uint)position;
    }

    /// <summary>How this chunk fails; None when it does not.</summary>
    public static FakePoisonKind In(in SequenceChunk chunk)
    {
        var seed = chunk.Sampling.Seed;
        if (seed >> 32 != Mark) return FakePoisonKind.None;
        var position = (int)(seed & 0xff_ffff);
        return position >= chunk.Start && position < chunk.Start + chunk.Count
            ? (FakePoisonKind)((seed >> 24) & 0xff)
            : FakePoisonKind.None;
    }

    /// <summary>Whether any chunk of a step fails in this way.</summary>
    internal static bool IsIn(StepPlan plan, FakePoisonKind kind)
    {
        foreach (ref readonly var chunk in plan.Chunks)
        {
            if (In(chunk) == kind) return true;
        }

        return false;
    }

    /// <summary>The token that is drawn after a chunk, or what is thrown for the lack of one.</summary>
    /// <param name="faults">Chunks that have no token; one is added where that is so.</param>
    internal static int Drawn(in SequenceChunk chunk, int index, int token, int vocabularySize, List<ChunkFault> faults)
    {
        switch (In(chunk))
        {
            case FakePoisonKind.NoNumber:
                faults.Add(new ChunkFault(index, "the logit of token 0 is not a number"));
                return 0;
            case FakePoisonKind.OutsideVocabulary:
                return vocabularySize;
            case FakePoisonKind.None or FakePoisonKind.BrokenInvariant or FakePoisonKind.LostDevice:
                return token;
            default:
                throw new UnreachableException();
        }
    }
}
