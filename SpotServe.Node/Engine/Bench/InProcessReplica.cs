using System.Collections.Immutable;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine.Bench;

/// <summary>Bounds of a replica's engines; see <see cref="StageAssignment"/>.</summary>
internal readonly record struct ReplicaBounds(int PageCount, int StepTokensMax, int SequencesMax);

/// <summary>
/// All stages and ranks of a replica in one process: stages run one after the other, the ranks of a stage as threads.
/// For benchmarks and for comparing layouts with each other; serving spreads them over processes.
/// </summary>
internal sealed class InProcessReplica : IDisposable
{
    private readonly TorchStageEngine[][] _stages;
    private readonly RankCollectives _collectives;
    private readonly RankThread[] _threads;
    private long _step;

    /// <param name="load">Makes the engine of a position.</param>
    /// <param name="stages">Layers of each stage.</param>
    /// <param name="collectives">Of so many stages and ranks; the replica's from now on. Null: through shared
    /// memory.</param>
    public InProcessReplica(
        Func<StageAssignment, TorchStageEngine> load, ImmutableArray<LayerRange> stages, int ranks,
        ReplicaBounds bounds, RankCollectives? collectives = null)
    {
        _stages = [.. stages.Select((layers, stage) => Enumerable.Range(0, ranks)
            .Select(rank => load(new StageAssignment(
                new Epoch(1), new Position(0, stage, rank), layers, stages.Length, ranks,
                bounds.PageCount, bounds.StepTokensMax, bounds.SequencesMax)))
            .ToArray())];
        _collectives = collectives ?? RankCollectives.InMemory(stages.Length, ranks);
        _threads = [.. Enumerable.Range(1, ranks - 1).Select(rank => new RankThread(rank))];
    }

    public IEnumerable<TorchStageEngine> Engines => _stages.SelectMany(ranks => ranks);

    /// <summary>Rank 0 of the last stage, which draws the tokens.</summary>
    public TorchStageEngine Drawing => _stages[^1][0];

    /// <summary>What the last step drew.</summary>
    public StepDraws Draws { get; } = new();

    /// <summary>Runs a step through all stages.</summary>
    /// <returns>The drawn tokens, one for each sampling chunk.</returns>
    public int[] Step(StepPlan plan)
    {
        Draws.Begin(plan);
        // Callers that run a single step over and over number it as they like.
        if (plan.StepId > _step) Begin(plan.StepId);
        for (var stage = 0; stage < _stages.Length; stage++)
        {
            if (stage > 0) HandOver(_stages[stage - 1][0], _stages[stage], plan.TokenCount);
            RunStage(stage, plan);
        }

        return [.. Draws.Tokens];
    }

    /// <summary>Runs a step of a single stage in which the last rank does not take part: after a while it goes away,
    /// or abandons the step.</summary>
    /// <param name="failure">Why it abandons the step; null where it goes away for good.</param>
    /// <returns>Time from then to the end of the first rank's step, and what that ended with.</returns>
    public (TimeSpan Ended, Exception? Error) StepWithoutLast(StepPlan plan, TimeSpan after, StepFailure? failure)
    {
        Draws.Begin(plan);
        var (stage, collectives) = (_stages[0], _collectives.Of(0));
        Begin(plan.StepId);
        foreach (var thread in _threads.SkipLast(1))
        {
            thread.Start(() =>
            {
                var nobodys = new StepDraws();
                nobodys.Begin(plan);
                if (TryStep(thread.Rank, nobodys) is StepFailedException failed)
                    collectives[thread.Rank].Abandon(failed.Failure);
            });
        }

        long leftAt = 0;
        _threads[^1].Start(() =>
        {
            // Nobody signals: the others are in the middle of the step by then.
            lock (_threads) Monitor.Wait(_threads, after);
            leftAt = System.Diagnostics.Stopwatch.GetTimestamp();
            if (failure is null) collectives[^1].Dispose();
            else collectives[^1].Abandon(failure);
        });
        var error = TryStep(0, Draws);
        var endedAt = System.Diagnostics.Stopwatch.GetTimestamp();
        if (error is StepFailedException own) collectives[0].Abandon(own.Failure);
        foreach (var thread in _threads) thread.EndStep();
        return (System.Diagnostics.Stopwatch.GetElapsedTime(leftAt, endedAt), error);

        Exception? TryStep(int rank, StepDraws draws)
        {
            try
            {
                stage[rank].Step(plan, collectives[rank], draws);
                return null;
            }
            catch (Exception failed) when (failed is StepFailedException or PeerLostException)
            {
                return failed;
            }
        }
    }

    /// <summary>Runs a step of a single stage in which one rank's device breaks. A rank whose step ends with a loss
    /// leaves the others, as an engine thread does.</summary>
    /// <param name="breaks">Called by that rank when its step begins.</param>
    /// <returns>Of each rank: what its step ended with, and how long after the first of them.</returns>
    public (Exception? Error, TimeSpan After)[] StepWithBroken(StepPlan plan, int broken, Action breaks)
    {
        var (stage, collectives) = (_stages[0], _collectives.Of(0));
        var ends = new (Exception? Error, long At)[stage.Length];
        Begin(plan.StepId);
        foreach (var thread in _threads) thread.Start(() => Run(thread.Rank));
        Run(0);
        foreach (var thread in _threads) thread.EndStep();
        var first = ends.Min(end => end.At);
        return [.. ends.Select(end => (end.Error, System.Diagnostics.Stopwatch.GetElapsedTime(first, end.At)))];

        void Run(int rank)
        {
            Exception? error = null;
            try
            {
                if (rank == broken) breaks();
                var nobodys = new StepDraws();
                nobodys.Begin(plan);
                stage[rank].Step(plan, collectives[rank], nobodys);
            }
            catch (Exception failed) when (failed is PeerLostException or EngineLostException)
            {
                error = failed;
            }

            ends[rank] = (error, System.Diagnostics.Stopwatch.GetTimestamp());
            if (error is not null) collectives[rank].Dispose();
        }
    }

    public void Dispose()
    {
        // First: where a rank failed in the middle of a step, the others still wait for it in a sum.
        _collectives.End();
        foreach (var thread in _threads) thread.Dispose();
        foreach (var engine in Engines) engine.Dispose();
        _collectives.Dispose();
    }

    private void Begin(long step)
    {
        _step = step;
        for (var stage = 0; stage < _stages.Length; stage++)
        {
            foreach (var collective in _collectives.Of(stage)) collective.BeginStep(step);
        }
    }

    private void RunStage(int stage, StepPlan plan)
    {
        foreach (var thread in _threads)
        {
            thread.Start(() =>
            {
                var nobodys = new StepDraws();
                nobodys.Begin(plan);
                _stages[stage][thread.Rank].Step(plan, _collectives.Of(stage)[thread.Rank], nobodys);
            });
        }

        _stages[stage][0].Step(plan, _collectives.Of(stage)[0], Draws);
        foreach (var thread in _threads) thread.EndStep();
    }

    private static void HandOver(TorchStageEngine from, TorchStageEngine[] to, int tokens)
    {
        var states = from.Output(tokens);
        foreach (var engine in to) states.CopyTo(engine.Input(tokens));
    }

    /// <summary>A lasting thread: libtorch keeps per-thread state that is dear to build for each step.</summary>
    private sealed class RankThread : IDisposable
    {
        /// <summary>Longer than any step of a model that fits one machine, a prompt on processors included.</summary>
        private static readonly TimeSpan StepMax = TimeSpan.FromMinutes(10);

        private readonly SemaphoreSlim _started = new(0);
        private readonly SemaphoreSlim _finished = new(0);
        private readonly Thread _thread;
        private Action? _work;
        private Exception? _error;

        public RankThread(int rank)
        {
            Rank = rank;
            _thread = new Thread(Loop) { IsBackground = true, Name = $"rank {rank}" };
            _thread.Start();
        }

        public int Rank { get; }

        public void Start(Action work)
        {
            _work = work;
            _started.Release();
        }

        /// <summary>Returns when the work is done.</summary>
        /// <exception cref="TimeoutException">It takes so long that its device hangs.</exception>
        /// <exception cref="InvalidOperationException">It failed.</exception>
        public void EndStep()
        {
            if (!_finished.Wait(StepMax)) throw HasHung();
            if (_error is not null) throw new InvalidOperationException($"Rank {Rank} failed.", _error);
        }

        public void Dispose()
        {
            _work = null;
            _started.Release();
            // What the thread still uses is not taken from it.
            if (!_thread.Join(StepMax)) throw HasHung();
            _started.Dispose();
            _finished.Dispose();
        }

        private TimeoutException HasHung() => new(
            $"Rank {Rank} did not end its step within {StepMax.TotalMinutes:0} minutes; its device may hang. End this "
            + "process, and look at the device.");

        private void Loop()
        {
            while (true)
            {
                _started.Wait();
                if (_work is null) return;
                try
                {
                    _work();
                }
                catch (Exception error)
                {
                    // The thread's edge: the caller of EndStep gets it.
                    _error = error;
                }

                _finished.Release();
            }
        }
    }
}
