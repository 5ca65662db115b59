using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// The engine thread of one position: takes plans in order, hidden states from the previous stage, runs the step, and
/// hands on what comes out. Owns the links, not the engine.
/// </summary>
/// <remarks>
/// A step that fails for what it was asked to compute ends nothing but itself: its failure goes on in place of what was
/// due, to the next stage and at last to the leader, and the other ranks of the stage are told, so that none waits for
/// this one. All ranks go on with the next step. Only a lost device or peer ends the thread.
/// </remarks>
public sealed class StageRunner : IDisposable
{
    /// <summary>How long disposal waits for the thread: a step cannot be interrupted in its computation.</summary>
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(5);

    private readonly IStageEngine _engine;
    private readonly StageLinks _links;
    private readonly StepPlanLimits _limits;
    private readonly Action<Exception> _failed;
    private readonly StepMeter? _meter;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _stopping;

    /// <param name="limits">Plans beyond these are refused as a violation of the leader's.</param>
    /// <param name="failed">At most once, from the engine thread, unless disposed before: a
    /// <see cref="PeerLostException"/>, <see cref="EngineLostException"/>, or what else is not of a step
    /// (<see cref="StepFailure.IsOfTheStep"/>).</param>
    /// <param name="pacer">Hears how long steps take; null when nothing needs to be held back for them.</param>
    public StageRunner(
        IStageEngine engine,
        StageLinks links,
        StepPlanLimits limits,
        Action<Exception> failed,
        TransferPacer? pacer = null)
    {
        Invariant.Holds(engine.Assignment.Position == links.Self);
        Invariant.Holds(engine.Assignment.Epoch == links.Topology.Epoch);
        Invariant.Holds(engine.Assignment.RankCount == links.Collective.RankCount);
        _engine = engine;
        _links = links;
        _limits = limits;
        _failed = failed;
        _meter = pacer?.Meter();
        _thread = new Thread(Run) { IsBackground = true, Name = $"engine-{links.Topology.Epoch}-{links.Self}" };
    }

    /// <summary>Completes, never faulted, when the engine is not used any more: only then may it be disposed.</summary>
    public Task Completion => _completion.Task;

    /// <summary>Starts the thread; once.</summary>
    public void Start() => _thread.Start();

    /// <summary>Closes the links, which ends every wait, and waits up to 5 s for a step in progress.</summary>
    public void Dispose()
    {
        _stopping = true;
        _links.Dispose();
        if (_thread.ThreadState.HasFlag(ThreadState.Unstarted))
        {
            _completion.TrySetResult();
        }
        else if (Thread.CurrentThread != _thread)
        {
            _thread.Join(StopTimeout);
        }
    }

    private void Run()
    {
        Exception? failure = null;
        try
        {
            RunSteps();
        }
#pragma warning disable CA1031 // The edge of the engine thread: whatever ended it is the owner's to judge.
        catch (Exception error)
#pragma warning restore CA1031
        {
            failure = error;
        }

        // Peers first: they wait in a step for what will not come.
        _links.Dispose();
        _meter?.Dispose();
        _completion.TrySetResult();
        if (!_stopping && failure is not null) _failed(failure);
    }

    private void RunSteps()
    {
        var plan = new StepPlan();
        var encoded = new byte[4096];
        var draws = new StepDraws();
        var drawn = Array.Empty<byte>();
        for (long step = 1; !_stopping; step++)
        {
            ReceivePlan(step, ref encoded, plan);
            var failure = StepFailure.OfTokens(plan, _limits.VocabularySize);
            if (_links.ActivationsIn is { } previous)
            {
                failure = previous.ReceiveOrFailure(
                    FrameKind.Activations, step, _engine.Input(plan.TokenCount), plan.Chunks.Length) ?? failure;
            }

            _links.Collective.BeginStep(step);
            // From here on, since waiting for the previous stage is not this one's work.
            _meter?.Begin();
            draws.Begin(plan);
            failure ??= TryStep(plan, draws);
            if (failure is not null)
            {
                _links.Collective.Abandon(failure);
                _links.ActivationsOut?.Send(step, failure);
                _links.Results?.Send(step, failure);
            }
            else
            {
                _links.ActivationsOut?.Send(FrameKind.Activations, step, _engine.Output(plan.TokenCount));
                _links.Results?.Send(FrameKind.Tokens, step, StepDrawsCodec.Encode(draws, ref drawn));
            }

            _meter?.End(plan.TokenCount);
        }
    }

    /// <returns>Why the step failed, or null.</returns>
    private StepFailure? TryStep(StepPlan plan, StepDraws draws)
    {
        try
        {
            _engine.Step(plan, _links.Collective, draws);
            return _links.Results is null ? null : StepFailure.OfDrawn(plan, draws.Tokens, _limits.VocabularySize);
        }
        catch (Exception error) when (StepFailure.IsOfTheStep(error))
        {
            return StepFailure.Of(error);
        }
    }

    private void ReceivePlan(long step, ref byte[] encoded, StepPlan plan)
    {
        var length = _links.Plans.ReceiveHeader(FrameKind.Plan, step, _limits.PlanBytesMax);
        if (length > encoded.Length) encoded = new byte[Math.Min(2L * length, _limits.PlanBytesMax)];
        _links.Plans.ReceivePayload(encoded.AsSpan(0, length));
        var violation = StepPlanCodec.Decode(encoded.AsSpan(0, length), _limits, plan);
        if (violation is null && plan.StepId != step) violation = $"plan {plan.StepId} in step {step}";
        if (violation is not null) throw _links.Plans.Lost($"it sent {violation}");
    }
}
