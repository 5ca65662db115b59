using System.Numerics;

namespace SpotServe.Actors.DataPlane;

/// <summary>How long an engine's steps take undisturbed, by size: token counts from one power of two to the next are
/// one size.</summary>
internal sealed class StepBaseline
{
    private const int SamplesMin = 4;

    /// <summary>Older steps fade: contexts grow and batches change.</summary>
    private const int SamplesMax = 16;

    private readonly (double Seconds, int Samples)[] _bySize = new (double, int)[32];

    public void Learn(int tokens, double seconds)
    {
        ref var entry = ref _bySize[Size(tokens)];
        entry.Samples = Math.Min(entry.Samples + 1, SamplesMax);
        // The first step of a size pays for what all later ones find ready.
        if (entry.Samples <= 2) entry.Seconds = seconds;
        else entry.Seconds += (seconds - entry.Seconds) / (entry.Samples - 1);
    }

    /// <summary>Seconds that a step takes undisturbed; null when too few have been seen.</summary>
    public double? Of(int tokens)
    {
        var (seconds, samples) = _bySize[Size(tokens)];
        return samples > SamplesMin ? seconds : null;
    }

    private static int Size(int tokens) => BitOperations.Log2((uint)Math.Max(tokens, 1));
}
