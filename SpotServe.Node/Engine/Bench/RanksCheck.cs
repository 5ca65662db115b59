using SpotServe.Node.Engine.Cuda;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>
/// Checks the ranks of a stage on several GPUs: that they give the bits of one GPU, in decoding and in prompts, whether
/// the GPUs sum by themselves or, as ranks of two nodes, over TCP.
/// </summary>
internal sealed class RanksCheck(IReadOnlyList<Device> devices, Action<string> report)
{
    private const int StepTokens = 128;

    internal static readonly BenchShape Shape = new("ranks", 2048, 4, 32, 8, 5632, 4000);

    internal static readonly int[] Counts = [2, 4, 8];

    /// <summary>Ranks of two nodes: they may share GPUs.</summary>
    private static readonly int[] CountsApart = [2, 4];

    private readonly HashSet<string> _told = [];
    private int _failures;

    /// <returns>The number of checks that failed.</returns>
    public async Task<int> RunAsync()
    {
        TorchEngines[] engines = [.. devices.Select(device => new TorchEngines(
            Shape.Spec(ElementType.BFloat16), Shape.Config(), new MadeWeights(), device, tell: TellOnce))];
        try
        {
            await CompareDecodingAsync(engines).ConfigureAwait(false);
            foreach (var (prompt, chunk) in new[] { (200, 96), (1_300, 250) })
            {
                foreach (var apart in new[] { false, true })
                    await ComparePromptsAsync(engines, prompt, chunk, apart).ConfigureAwait(false);
            }
        }
        finally
        {
            foreach (var each in engines) each.Dispose();
        }

        return _failures;
    }

    private IEnumerable<int> RankCounts() => Counts.Where(ranks => ranks <= devices.Count);

    private async Task CompareDecodingAsync(TorchEngines[] engines)
    {
        const int Steps = 400, Batch = 64;
        var all = Enumerable.Range(0, Batch).ToArray();
        var whole = await TraceAsync((1, 1), all, pageSeed: 1).ConfigureAwait(false);
        foreach (var ranks in RankCounts())
        {
            foreach (var stages in new[] { 1, 2 })
            {
                foreach (var batch in new[] { 1, 12, 32, Batch })
                {
                    await CompareAsync((stages, ranks), batch, apart: false).ConfigureAwait(false);
                }
            }
        }

        foreach (var ranks in CountsApart)
        {
            foreach (var batch in new[] { 1, 32, Batch })
                await CompareAsync((1, ranks), batch, apart: true).ConfigureAwait(false);
        }

        async Task CompareAsync((int Stages, int Ranks) layout, int batch, bool apart)
        {
            var trace = await TraceAsync(layout, all[..batch], pageSeed: 2 + batch, apart).ConfigureAwait(false);
            var unequal = trace.CountUnequal(whole);
            Tell(
                unequal == 0,
                $"batch {batch}, P={layout.Stages} M={layout.Ranks}{Where(apart)}: {unequal} others in "
                + $"{trace.Hashes.Count} positions");
        }

        async Task<DecodeTrace> TraceAsync(
            (int Stages, int Ranks) layout, int[] sequences, int pageSeed, bool apart = false)
        {
            using var replica = Replica(
                engines, layout, sequences.Length, Steps, sequences.Length,
                await CollectivesAsync(layout, apart).ConfigureAwait(false));
            return DecodeTrace.Run(replica, sequences, Steps, stagger: 2, Shape.Vocabulary, Steps, pageSeed);
        }
    }

    /// <param name="apart">The ranks are those of two nodes.</param>
    private async Task ComparePromptsAsync(TorchEngines[] engines, int prompt, int chunk, bool apart)
    {
        const int Company = 5;
        var (from, end) = (prompt + 130, prompt + 200);
        var whole = await TraceAsync(1, prompt, company: 0).ConfigureAwait(false);
        var undisturbed = whole[(from - prompt)..];
        foreach (var ranks in (apart ? CountsApart : RankCounts()).Where(ChunkProducts.IsFor))
        {
            var recovered = await TraceAsync(ranks, from, Company).ConfigureAwait(false);
            var unequal = recovered.Zip(undisturbed, (a, b) => a == b ? 0 : 1).Sum();
            Tell(
                unequal == 0,
                $"prompt of {prompt} by {chunk}, M={ranks}{Where(apart)}: {unequal} others in {recovered.Count}");
        }

        async Task<List<ulong>> TraceAsync(int ranks, int start, int company)
        {
            using var replica = Replica(
                engines, (1, ranks), company + 1, end, chunk + company + StepTokens,
                await CollectivesAsync((1, ranks), apart && ranks > 1).ConfigureAwait(false));
            var rows = RecoveryTrace.Run(replica, prompt, start, end, company, Shape.Vocabulary, chunk);
            return [.. rows.Select(row => RepeatCheck.Hash(0, row))];
        }
    }

    internal static InProcessReplica Replica(
        TorchEngines[] engines, (int Stages, int Ranks) layout, int batch, int steps, int stepTokens,
        RankCollectives? collectives = null) =>
        new(
            assignment => engines[assignment.Position.Rank % engines.Length].Load(assignment, null, default),
            Layout.EvenStages(Shape.Layers, 1, layout.Stages), layout.Ranks,
            new ReplicaBounds(batch * KvPage.Count(steps), Math.Max(stepTokens, batch), batch),
            collectives);

    private static async Task<RankCollectives?> CollectivesAsync((int Stages, int Ranks) layout, bool apart) => apart
        ? await RankCollectives.OfTwoNodesAsync(layout.Stages, layout.Ranks).ConfigureAwait(false) : null;

    private static string Where(bool apart) => apart ? " of two nodes" : "";

    private void TellOnce(string line)
    {
        lock (_told)
        {
            if (_told.Add(line)) report(line);
        }
    }

    private void Tell(bool isRight, string what)
    {
        if (!isRight) _failures++;
        report($"{(isRight ? "ok  " : "FAIL")} {what}");
    }
}
