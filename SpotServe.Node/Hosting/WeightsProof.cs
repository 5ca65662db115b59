using SpotServe.Node.Engine;
using SpotServe.Node.Weights;

namespace SpotServe.Node.Hosting;

/// <summary>
/// Finds out, once the node serves, which numbers its checkpoint really has where the fingerprint only took samples. It
/// waits until the devices have their weights and nothing more is being loaded, so no start is slower for it.
/// </summary>
internal static class WeightsProof
{
    /// <summary>Half an hour for a checkpoint of 140 GB; a few per cent of a core.</summary>
    private const long BytesPerSecond = 80_000_000;

    private static readonly TimeSpan Look = TimeSpan.FromSeconds(10);

    /// <returns>The hash of all bytes; null when the fingerprint covers them, or they cannot be read.</returns>
    public static async Task<string?> FindAsync(
        IReadOnlyList<TorchDeviceRuntime> runtimes, string cacheFolder, TimeProvider clock, Func<string, Task> say,
        CancellationToken cancel)
    {
        var checkpoint = runtimes[0].Checkpoint;
        if (checkpoint.IsWholeInFingerprint) return null;
        using var timer = new PeriodicTimer(Look, clock);
        for (var before = -1; before < 1 || before != Held(runtimes);)
        {
            before = Held(runtimes);
            await timer.WaitForNextTickAsync(cancel);
        }

        try
        {
            var hash = await new WholeHash(cacheFolder, BytesPerSecond, clock).OfAsync(checkpoint.Paths, cancel);
            if (hash is null) await say("its weight files changed while they were read: they are not known");
            return hash;
        }
        catch (IOException error)
        {
            await say($"could not read all of its weight files: {error.Message}");
            return null;
        }
    }

    private static int Held(IReadOnlyList<TorchDeviceRuntime> runtimes) =>
        runtimes.Sum(runtime => runtime.Weights.Length);
}
