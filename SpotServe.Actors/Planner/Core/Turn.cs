using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Planner;

/// <summary>One step of the planner on its way: the state as it is by now, and what is to be done.</summary>
internal sealed class Turn(PlannerState state, PlannerOptions options, DateTimeOffset now)
{
    private readonly List<PlannerEffect> _effects = [];
    private readonly List<PlannerEffect> _last = [];
    private bool _owesView;

    public PlannerState State { get; set; } = state;

    public PlannerOptions Options => options;

    public PlannerLimits Limits => options.Limits;

    public DateTimeOffset Now => now;

    /// <summary>Effects in order; a record that nothing waits for is written last.</summary>
    public ImmutableArray<PlannerEffect> Effects =>
        [.. _effects, .. _owesView ? [new PlannerEffect.Publish()] : Array.Empty<PlannerEffect>(), .. _last];

    /// <summary>Another phase, which a person and the gateways are told of.</summary>
    /// <returns>The phase as it was entered: its change knows since when.</returns>
    public T Enter<T>(T phase, string statusLine)
        where T : Phase
    {
        if (phase is ChangingPhase changing && phase.Name != State.Phase.Name)
            phase = (T)(Phase)(changing with { Change = changing.Change.Enter(phase.Name, Now) });
        State = State with { Phase = phase, StatusLine = statusLine };
        Info("{Phase}: {StatusLine}", phase.Name, statusLine);
        Publish();
        return phase;
    }

    /// <summary>The same phase, further on.</summary>
    public void Stay(Phase phase) => State = State with { Phase = phase };

    /// <summary>The phase in which nothing is under way.</summary>
    public void Rest(string statusLine)
    {
        if (State.Active is { IsServing: true } active)
            Enter(new Serving(), ServingLine(active));
        else
            Enter(new Gathering(Now), statusLine);
    }

    public void ShowStatus(string statusLine)
    {
        if (State.StatusLine == statusLine) return;
        State = State with { StatusLine = statusLine };
        Info("{StatusLine}", statusLine);
        Publish();
    }

    /// <summary>Has the cluster planned anew, now or once what is under way is over.</summary>
    public void PlanAfter(Cause cause, TimeSpan delay)
    {
        var at = Now + delay;
        if (State.Due is { } due) (cause, at) = (due.Cause.And(cause), due.At <= at ? due.At : at);
        State = State with { Due = new DuePlan(cause, at) };
    }

    /// <summary>Writes an event before anything that follows is done.</summary>
    public void Persist(IPlannerEvent happened)
    {
        // The journal has events in the order in which they happened.
        _effects.AddRange(_last);
        _last.Clear();
        // Nobody is shown what is not written.
        if (_effects.RemoveAll(effect => effect is PlannerEffect.Publish) > 0) _owesView = true;
        State = State with { Journal = State.Journal.Apply(happened) };
        _effects.Add(new PlannerEffect.Persist(happened));
    }

    /// <summary>Writes an event that nothing depends on.</summary>
    public void Note(IPlannerEvent happened)
    {
        State = State with { Journal = State.Journal.Apply(happened) };
        _last.Add(new PlannerEffect.Persist(happened));
    }

    /// <summary>Shows the gateways how things stand at the end of the step, before they see what is sent after
    /// this.</summary>
    public void Publish()
    {
        _owesView = false;
        if (!_effects.Exists(effect => effect is PlannerEffect.Publish)) _effects.Add(new PlannerEffect.Publish());
    }

    public void Show(IAddress gateway) => _effects.Add(new PlannerEffect.Show(gateway));

    public void Do(PlannerEffect effect) => _effects.Add(effect);

    public void Send(IAddress to, object message) => _effects.Add(new PlannerEffect.Send(to, message));

    /// <summary>Sends to the node of a device, if it is known.</summary>
    public void Command(DeviceId device, object command)
    {
        if (State.Nodes.TryGetValue(device.Node, out var node)) Send(node.Address, command);
    }

    public void Release(Epoch epoch, DeviceId device, bool trim) => Command(
        device, new ClusterProtocol.ReleasePosition(epoch, device, trim) { Term = State.Journal.Term });

    /// <summary>Tells what serves to stop after its step.</summary>
    public void Drain(IEnumerable<int> replicas)
    {
        if (State.Active is not { } active) return;
        foreach (var replica in replicas)
        {
            if (active.Replicas.TryGetValue(replica, out var leader))
                Send(leader, new ReplicaControlProtocol.Drain(active.Epoch));
        }
    }

    /// <summary>Data-plane endpoints of those nodes that are known.</summary>
    public ImmutableDictionary<string, string> Endpoints(IEnumerable<string> nodes)
    {
        var endpoints = ImmutableDictionary.CreateBuilder<string, string>();
        foreach (var name in nodes.Distinct())
        {
            if (State.Nodes.TryGetValue(name, out var node)) endpoints.Add(name, node.Info.Endpoint);
        }

        return endpoints.ToImmutable();
    }

    public void Debug(string template, params object?[] values) => Log(LogSeverity.Debug, template, values);

    public void Info(string template, params object?[] values) => Log(LogSeverity.Info, template, values);

    public void Warn(string template, params object?[] values) => Log(LogSeverity.Warning, template, values);

    private string ServingLine(ActiveEpoch active)
    {
        var serving = $"serving {State.Model?.Name} on {active.Layout.Degrees}, {active.Epoch}";
        return State.Setback?.Verdict is { } verdict ? $"{serving}; {verdict}" : serving;
    }

    private void Log(LogSeverity severity, string template, object?[] values) =>
        _effects.Add(new PlannerEffect.Log(severity, template, [.. values]));
}
