using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine.Bench;

/// <summary>
/// Made sequences that decode from their first token on, one token a step, and what came of each position. A sequence's
/// tokens depend on nothing but its number, so its logits may be compared between batches and layouts.
/// </summary>
internal sealed class DecodeTrace
{
    private readonly Dictionary<(int Sequence, int Position), ulong> _hashes = [];
    private readonly Dictionary<(int Sequence, int Position), float[]> _kept = [];

    public IReadOnlyDictionary<(int Sequence, int Position), ulong> Hashes => _hashes;

    /// <summary>Logits themselves, of the last steps.</summary>
    public IReadOnlyDictionary<(int Sequence, int Position), float[]> Kept => _kept;

    /// <summary>Tokens drawn, in the order of steps and sequences. They are not fed back.</summary>
    public List<int> Drawn { get; } = [];

    /// <summary>Runs sequences together.</summary>
    /// <param name="sequences">Numbers of those that run.</param>
    /// <param name="steps">Steps; the first sequence gets as many tokens.</param>
    /// <param name="stagger">Steps by which each sequence begins after the one before it.</param>
    /// <param name="keptFrom">Step from which on logits are kept.</param>
    /// <param name="pageSeed">Draws the order of the pages.</param>
    /// <param name="sampling">Of each sequence; null is greedy.</param>
    /// <param name="observes">Logits are brought to the host, which then draws the tokens.</param>
    public static DecodeTrace Run(
        InProcessReplica replica, IReadOnlyList<int> sequences, int steps, int stagger, int vocabulary, int keptFrom,
        int pageSeed, Func<int, SamplingParameters>? sampling = null, bool observes = true)
    {
        var trace = new DecodeTrace();
        var plan = new StepPlan();
        var pagesEach = KvPage.Count(steps);
        var pages = Enumerable.Range(0, sequences.Count * pagesEach).ToArray();
        new Random(pageSeed).Shuffle(pages);
        var running = new List<(int Sequence, int Position)>();
        for (var step = 0; step < steps; step++)
        {
            plan.Clear(step + 1);
            running.Clear();
            for (var i = 0; i < sequences.Count; i++)
            {
                var position = step - (i * stagger);
                if (position < 0) continue;
                plan.Add(
                    position, [Token(sequences[i], position, vocabulary)],
                    pages.AsSpan(i * pagesEach, KvPage.Count(position + 1)), samples: true,
                    sampling?.Invoke(sequences[i]) ?? SamplingParameters.Greedy);
                running.Add((sequences[i], position));
            }

            var keeps = step >= keptFrom;
            replica.Drawing.LogitsObserved = !observes ? null : (sample, logits) =>
            {
                trace._hashes[running[sample]] = RepeatCheck.Hash(0, logits.Span);
                if (keeps) trace._kept[running[sample]] = logits.ToArray();
            };
            trace.Drawn.AddRange(replica.Step(plan));
        }

        replica.Drawing.LogitsObserved = null;
        return trace;
    }

    /// <summary>Positions of this trace whose bits are others in <paramref name="whole"/>.</summary>
    public int CountUnequal(DecodeTrace whole) => _hashes.Count(pair => whole._hashes[pair.Key] != pair.Value);

    private static int Token(int sequence, int position, int vocabulary) =>
        (int)((3 + (7919L * position) + (104_729L * (sequence + 1))) % vocabulary);
}
