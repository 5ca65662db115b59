using Akka.Actor;
using Akka.Dispatch;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// One process of the simulated cluster: a subtree of actors that lives, hangs and dies as one. A dead one does nothing
/// any more, not even what actors do when they stop; a hung one does later what it would have done now.
/// </summary>
internal sealed class SimProcess
{
    private readonly SimWorld _world;
    private readonly List<IRunnable> _heldRuns = [];
    private readonly List<Action> _heldActions = [];
    private IActorRef? _guardian;

    /// <param name="host">The machine; partitions are between machines.</param>
    /// <param name="name">Unique in the world's life.</param>
    public SimProcess(SimWorld world, ActorSystem system, string host, string name)
    {
        _world = world;
        Host = host;
        Name = name;
        world.Register(this);
        _guardian = system.ActorOf(Props.Create(() => new Guardian(this, world)), name);
        Spawn(world.Fragments.RelayProps, Actors.Fragments.FragmentRelay.Name, relay => FragmentRelay = relay);
    }

    public string Host { get; }

    public string Name { get; }

    /// <summary>Sends and takes the process's long messages; there before its other actors.</summary>
    public IActorRef? FragmentRelay { get; private set; }

    public bool IsDead { get; private set; }

    public bool IsHung { get; private set; }

    /// <summary>It was told to end and stops its actors.</summary>
    public bool IsStopping => _guardian is null && !IsDead;

    /// <summary>When it died or hung last.</summary>
    public TimeSpan SilentSince { get; private set; } = TimeSpan.MaxValue;

    public bool IsRunning => !IsDead && !IsHung;

    /// <summary>Makes an actor of this process; <paramref name="then"/> gets it a moment later.</summary>
    public void Spawn(Props props, string name, Action<IActorRef>? then = null) =>
        _guardian!.Tell(new Start(props, name, then), ActorRefs.NoSender);

    /// <summary>Does something as one of the process's threads would: now, after it hung, or never.</summary>
    public void Do(Action action)
    {
        if (IsDead) return;
        if (IsHung) _heldActions.Add(action);
        else action();
    }

    public void Run(IRunnable run)
    {
        if (IsDead) return;
        if (IsHung) _heldRuns.Add(run);
        else run.Run();
    }

    public void Kill()
    {
        if (!IsHung) SilentSince = _world.Now;
        IsDead = true;
        _heldRuns.Clear();
        _heldActions.Clear();
    }

    public void Hang()
    {
        if (!IsRunning) return;
        IsHung = true;
        SilentSince = _world.Now;
    }

    public void Resume()
    {
        if (IsDead || !IsHung) return;
        IsHung = false;
        SilentSince = TimeSpan.MaxValue;
        foreach (var run in _heldRuns) _world.Ready(run, this);
        _heldRuns.Clear();
        var actions = _heldActions.ToArray();
        _heldActions.Clear();
        foreach (var action in actions) Do(action);
    }

    /// <summary>Stops all its actors in order, as a process does that ends by itself.</summary>
    public void Stop(Action then)
    {
        if (IsDead || _guardian is null) return;
        var guardian = _guardian;
        _guardian = null;
        guardian.Tell(new StopAll(() =>
        {
            Kill();
            then();
        }), ActorRefs.NoSender);
    }

    public override string ToString() => Name;

    private sealed record Start(Props Props, string Name, Action<IActorRef>? Then)
        : INoSerializationVerificationNeeded;

    private sealed record StopAll(Action Then) : INoSerializationVerificationNeeded;

    private sealed class Guardian : ReceiveActor
    {
        private readonly SimProcess _process;
        private readonly SimWorld _world;
        private Action? _stopping;

        public Guardian(SimProcess process, SimWorld world)
        {
            _process = process;
            _world = world;
            Receive<Start>(start =>
            {
                var actor = Context.ActorOf(start.Props, start.Name);
                start.Then?.Invoke(actor);
            });
            Receive<StopAll>(stop =>
            {
                _stopping = stop.Then;
                Context.Stop(Self);
            });
        }

        protected override void PostStop() => _stopping?.Invoke();

        protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(error =>
        {
            _world.Break($"{_process}: an actor failed: {error}");
            return Directive.Stop;
        });
    }
}
