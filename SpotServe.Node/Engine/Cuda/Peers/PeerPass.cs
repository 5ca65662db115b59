using SpotServe.Actors;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// How the sums of decode passes are numbered and where they lie. A number says which sum a part belongs to; all ranks
/// come to the same one from the step alone, however far each got in steps that failed. Recorded kernels keep their
/// sum's index in the pass; the pass's first number comes with its inputs.
/// </summary>
internal static class PeerPass
{
    /// <summary>Places for a sum. A rank that has sum i + 1 got something of it from each other rank, which had read
    /// sum i by then, so two would do, were it not for the end of a pass with an odd number of sums: the next one
    /// begins with the place that it would use.</summary>
    public const int Slots = 3;

    /// <summary>Sums of prompts' chunks in a step.</summary>
    private const int ChunkSumsMax = 1 << 14;

    /// <summary>Tokens from which on a sum in two steps is faster: its bytes count more than another way over the
    /// link.</summary>
    private const int OwnedTokensMin = 8;

    /// <summary>Whether each tile of a product has a rank that adds the parts and pushes the sum to the others, so that
    /// a number goes over the link 2 (ranks - 1) / ranks times from each GPU instead of ranks - 1 times. With two ranks
    /// that is no less.</summary>
    /// <param name="tiles">Of the product: each rank must get something from each other one in every sum, because this
    /// says that a place is free again (<see cref="Slots"/>).</param>
    public static bool HasOwners(int ranks, int tokens, int tiles) =>
        ranks > 2 && tokens >= OwnedTokensMin && tiles >= ranks;

    /// <param name="index">Of the sum in its pass.</param>
    /// <param name="count">Sums of a pass.</param>
    public static int Slot(int index, int count)
    {
        Invariant.Holds(index >= 0 && index < count);
        return count % 2 == 1 && index == count - 1 ? 2 : index % 2;
    }

    /// <summary>Number of a pass's first sum; never 0, which is what memory holds that nobody wrote, before it wraps
    /// after 2^32 sums. What is compared with it by then was overwritten long ago.</summary>
    /// <param name="pass">Of the step.</param>
    /// <param name="passes">Of a step at most.</param>
    /// <param name="numbers">Of a pass.</param>
    public static uint FirstNumber(long step, int pass, int passes, int numbers)
    {
        Invariant.Holds(step >= 1 && pass >= 0 && pass < passes);
        return unchecked((uint)(((step * passes) + pass) * numbers));
    }

    /// <summary>Number of a sum of prompts' chunks.</summary>
    public static uint ChunkNumber(long step, int sum)
    {
        Invariant.Holds(step >= 1 && sum >= 0 && sum < ChunkSumsMax);
        return unchecked((uint)((step * ChunkSumsMax) + sum));
    }
}
