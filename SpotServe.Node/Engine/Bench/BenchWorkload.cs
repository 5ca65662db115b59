using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine.Bench;

/// <summary>Steps of made tokens. What they say does not matter, only their number and where they lie.</summary>
internal sealed class BenchWorkload(InProcessReplica replica, int vocabulary, int batch, int pagesEach)
{
    private readonly StepPlan _plan = new();
    private readonly int[][] _pages = [.. Enumerable.Range(0, batch)
        .Select(sequence => Enumerable.Range(sequence * pagesEach, pagesEach).ToArray())];
    private long _step;

    /// <summary>One chunk of one sequence, from its start.</summary>
    public void Prefill(int sequence, int tokens)
    {
        _plan.Clear(++_step);
        Add(sequence, 0, tokens);
        replica.Step(_plan);
    }

    /// <summary>Fills all sequences' caches up to <paramref name="context"/> tokens.</summary>
    public void FillContext(int context, int chunkMax)
    {
        for (var sequence = 0; sequence < batch; sequence++)
        {
            for (var start = 0; start < context; start += chunkMax)
            {
                _plan.Clear(++_step);
                Add(sequence, start, Math.Min(chunkMax, context - start));
                replica.Step(_plan);
            }
        }
    }

    /// <summary>One token of every sequence, at a position.</summary>
    /// <returns>What was drawn.</returns>
    public int[] Decode(int position)
    {
        _plan.Clear(++_step);
        for (var sequence = 0; sequence < batch; sequence++) Add(sequence, position, 1);
        return replica.Step(_plan);
    }

    private void Add(int sequence, int start, int count)
    {
        var tokens = new int[count];
        for (var i = 0; i < count; i++)
            tokens[i] = (int)((3 + (7919L * (start + i)) + (104_729L * (sequence + 1))) % vocabulary);
        var pages = _pages[sequence].AsSpan(0, KvPage.Count(start + count));
        _plan.Add(start, tokens, pages, samples: true, SamplingParameters.Greedy);
    }
}
