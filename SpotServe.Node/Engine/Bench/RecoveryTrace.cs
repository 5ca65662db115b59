using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine.Bench;

/// <summary>
/// One sequence with a prompt that is generated on, and the same one picked up in the middle by a replica that has only
/// its tokens, as after a kill: prompt and generated tokens are computed again, and it goes on.
/// </summary>
internal static class RecoveryTrace
{
    /// <summary>The logits after each generated token from <paramref name="from"/> on.</summary>
    /// <param name="prompt">Tokens that are computed in chunks.</param>
    /// <param name="from">The first position whose token is decoded; those between it and the prompt are
    /// replayed.</param>
    /// <param name="end">Positions in all.</param>
    /// <param name="company">Other sequences that run beside it, one token each a step.</param>
    /// <param name="chunkTokens">The longest chunk; chunks end at its multiples.</param>
    public static List<float[]> Run(
        InProcessReplica replica, int prompt, int from, int end, int company, int vocabulary, int chunkTokens = 96)
    {
        var rows = new List<float[]>();
        var plan = new StepPlan();
        var pagesEach = KvPage.Count(end);
        var step = 0;
        for (var start = 0; start < end;)
        {
            var limit = start < prompt ? prompt : start < from ? from : start + 1;
            var count = Math.Min(limit - start, chunkTokens - (start % chunkTokens));
            if (start >= from) count = 1;
            plan.Clear(++step);
            // Others before and after it, at positions of their own.
            for (var i = 0; i < company; i++) AddOther(i);
            plan.Add(
                start, Tokens(start, count), Pages(company, start + count), samples: true, SamplingParameters.Greedy,
                replays: start >= prompt);
            var isGenerated = start >= from;
            replica.Drawing.LogitsObserved = (sample, logits) =>
            {
                if (isGenerated && sample == company) rows.Add(logits.ToArray());
            };
            replica.Step(plan);
            start += count;
        }

        replica.Drawing.LogitsObserved = null;
        return rows;

        void AddOther(int i) => plan.Add(
            step - 1, Tokens(step + i, 1), Pages(i, step), samples: true, SamplingParameters.Greedy);

        int[] Tokens(int start, int count) =>
            [.. Enumerable.Range(start, count).Select(position => (int)((5 + (7919L * position)) % vocabulary))];

        int[] Pages(int owner, int tokens) =>
            [.. Enumerable.Range(0, KvPage.Count(tokens)).Select(page => (owner * pagesEach) + page)];
    }
}
