using System.Collections.Immutable;
using SpotServe.Actors.Execution;

namespace SpotServe.Tests.Simulation;

/// <summary>Clients whose requests make steps fail, in each way that there is, at any of their tokens.</summary>
internal static class SimPoison
{
    private const int TokensMax = 40;

    /// <summary>None to three for each seed, drawn apart from all else, so that the rest of a seed is what it
    /// was.</summary>
    public static IEnumerable<SimClient> Draw(SimCluster cluster, ModelSpec model)
    {
        var random = new Random(cluster.World.Seed * 7919);
        var count = random.Next(4);
        for (var i = 0; i < count; i++) yield return Client(cluster, model, random, $"poison{i}");
    }

    /// <summary>True of the reason of a device's failure that is none: an exception of a sequence, not of a
    /// device.</summary>
    public static bool IsNoLoss(string reason) =>
        reason.Contains("failed alone", StringComparison.Ordinal)
        || reason.Contains("not a number", StringComparison.Ordinal)
        || reason.Contains("Invariant broken", StringComparison.Ordinal)
        || reason.Contains("vocabulary", StringComparison.Ordinal);

    private static SimClient Client(SimCluster cluster, ModelSpec model, Random random, string name)
    {
        var prompt = Enumerable.Range(0, random.Next(1, 50))
            .Select(_ => random.Next(model.VocabularySize)).ToImmutableArray();
        // A device is lost in few: it takes the cluster several layouts to be sure of the culprit.
        var kind = random.Next(8) switch
        {
            0 => FakePoisonKind.LostDevice,
            1 or 2 => FakePoisonKind.BrokenInvariant,
            3 => FakePoisonKind.OutsideVocabulary,
            4 or 5 => FakePoisonKind.NoNumber,
            _ => FakePoisonKind.None,
        };
        // None: a token that the model does not have, in the prompt itself.
        if (kind == FakePoisonKind.None)
        {
            prompt = prompt.SetItem(
                random.Next(prompt.Length), random.Next(2) == 0 ? model.VocabularySize : int.MaxValue);
        }

        var position = random.Next(prompt.Length + TokensMax - 1);
        // Where no token is drawn, none can be wrong.
        if (kind is FakePoisonKind.NoNumber or FakePoisonKind.OutsideVocabulary)
            position = Math.Max(position, prompt.Length - 1);
        var tokens = kind == FakePoisonKind.None ? 0 : Math.Max(0, position - prompt.Length + 1);
        return new SimClient(
            cluster,
            name,
            prompt,
            new GenerationParameters(
                TokensMax, SamplingParameters.Greedy with { Seed = FakePoison.Seed(kind, position) }, []),
            SoloRun.Generate(model, prompt, tokens, SamplingParameters.Greedy),
            leavesAfter: -1)
        {
            IsPoison = true,
        };
    }
}
