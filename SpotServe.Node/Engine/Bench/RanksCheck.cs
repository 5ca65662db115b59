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
    public int Run()
    {
        TorchEngines[] engines = [.. devices.Select(device => new TorchEngines(
            Shape.Spec(ElementType.BFloat16), Shape.Config(), new MadeWeights(), device, tell: TellOnce))];
        try
        {
            CompareDecoding(engines);
            foreach (var (prompt, chunk) in new[] { (200, 96), (1_300, 250) })
            {
                foreach (var apart in new[] { false, true }) ComparePrompts(engines, prompt, chunk, apart);
            }
        }
        finally
        {
            foreach (var each in engines) each.Dispose();
        }

        return _failures;
    }

    private IEnumerable<int> RankCounts() => Counts.Where(ranks => ranks <= devices.Count);

    private void CompareDecoding(TorchEngines[] engines)
    {
        const int Steps = 400, Batch = 64;
        var all = Enumerable.Range(0, Batch).ToArray();
        var whole = Trace((1, 1), all, pageSeed: 1);
        foreach (var ranks in RankCounts())
        {
            foreach (var stages in new[] { 1, 2 })
            {
                foreach (var batch in new[] { 1, 12, 32, Batch })
                {
                    Compare((stages, ranks), batch, apart: false);
                }
            }
        }

        foreach (var ranks in CountsApart)
        {
            foreach (var batch in new[] { 1, 32, Batch }) Compare((1, ranks), batch, apart: true);
        }

        void Compare((int Stages, int Ranks) layout, int batch, bool apart)
        {
            var trace = Trace(layout, all[..batch], pageSeed: 2 + batch, apart);
            var unequal = trace.CountUnequal(whole);
            Tell(
                unequal == 0,
                $"batch {batch}, P={layout.Stages} M={layout.Ranks}{Where(apart)}: {unequal} others in "
                + $"{trace.Hashes.Count} positions");
        }

        DecodeTrace Trace((int, int) layout, int[] sequences, int pageSeed, bool apart = false)
        {
            using var replica = Replica(engines, layout, sequences.Length, Steps, sequences.Length, apart);
            return DecodeTrace.Run(replica, sequences, Steps, stagger: 2, Shape.Vocabulary, Steps, pageSeed);
        }
    }

    /// <param name="apart">The ranks are those of two nodes.</param>
    private void ComparePrompts(TorchEngines[] engines, int prompt, int chunk, bool apart)
    {
        const int Company = 5;
        var (from, end) = (prompt + 130, prompt + 200);
        var undisturbed = Trace(1, prompt, company: 0)[(from - prompt)..];
        foreach (var ranks in (apart ? CountsApart : RankCounts()).Where(ChunkProducts.IsFor))
        {
            var recovered = Trace(ranks, from, Company);
            var unequal = recovered.Zip(undisturbed, (a, b) => a == b ? 0 : 1).Sum();
            Tell(
                unequal == 0,
                $"prompt of {prompt} by {chunk}, M={ranks}{Where(apart)}: {unequal} others in {recovered.Count}");
        }

        List<ulong> Trace(int ranks, int start, int company)
        {
            using var replica = Replica(
                engines, (1, ranks), company + 1, end, chunk + company + StepTokens, apart && ranks > 1);
            var rows = RecoveryTrace.Run(replica, prompt, start, end, company, Shape.Vocabulary, chunk);
            return [.. rows.Select(row => RepeatCheck.Hash(0, row))];
        }
    }

    internal static InProcessReplica Replica(
        TorchEngines[] engines, (int Stages, int Ranks) layout, int batch, int steps, int stepTokens,
        bool apart = false) =>
        new(
            assignment => engines[assignment.Position.Rank % engines.Length].Load(assignment, null, default),
            Layout.EvenStages(Shape.Layers, 1, layout.Stages), layout.Ranks,
            new ReplicaBounds(batch * KvPage.Count(steps), Math.Max(stepTokens, batch), batch),
            apart ? RankCollectives.OfTwoNodes(layout.Stages, layout.Ranks) : null);

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
