using System.Diagnostics.CodeAnalysis;
using Akka.Actor;
using Akka.Dispatch;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// One thread, one virtual clock, one seed: everything that happens in a simulated cluster happens here, in an order
/// that the seed draws. Actors are real ones; their mailboxes, timers and messages between processes are the world's.
/// Two runs of a seed are the same run, in whatever process.
/// </summary>
internal sealed class SimWorld
{
    /// <summary>More steps than this without time passing are a loop.</summary>
    private const int StepsAtOneTimeMax = 200_000;

    [ThreadStatic]
    private static SimWorld? _current;

    private readonly PriorityQueue<Action, (long Due, long Order)> _events = new();
    private readonly Dictionary<IRunnable, int> _ageOf = new(ReferenceEqualityComparer.Instance);

    /// <summary>By age, not by when it became ready: Akka stops an actor's children in the order of their names' hash
    /// codes, which every process draws anew.</summary>
    private readonly SortedList<int, (IRunnable Run, SimProcess? Process)> _ready = [];
    private readonly Dictionary<IActorRef, SimProcess?> _processOf = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, SimProcess> _processes = [];
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private volatile string? _escape;
    private long _order;
    private long _now;

    public SimWorld(int seed)
    {
        Seed = seed;
        Random = new Random(seed);
        Clock = new WorldClock(this);
        Network = new SimNetwork(this);
        Fragments = new SimFragments(this);
        Database = new SimDatabase();
    }

    /// <summary>The world of this thread: Akka makes schedulers and dispatchers by name; they find it here.</summary>
    public static SimWorld Current =>
        _current ?? throw new InvalidOperationException("No simulation on this thread.");

    public int Seed { get; }

    public Random Random { get; }

    public TimeProvider Clock { get; }

    public SimNetwork Network { get; }

    public SimFragments Fragments { get; }

    public SimDatabase Database { get; }

    public TimeSpan Now => new(_now);

    /// <summary>The process one of whose actors handles a message at this moment; null between messages.</summary>
    public SimProcess? Running { get; private set; }

    /// <summary>A hash of all that happened, in its order and at its time.</summary>
    public ulong Trace { get; private set; } = 14_695_981_039_346_656_037;

    /// <summary>The first broken law; nothing more happens after it.</summary>
    public string? Broken { get; private set; }

    /// <summary>What a person needs to follow a broken seed; off when null.</summary>
    public Action<string>? Log { get; set; }

    /// <summary>Sees every message before it is put into a mailbox.</summary>
    public Action<SimMessage>? OnMessage { get; set; }

    /// <summary>Runs <paramref name="action"/> with this world as the thread's.</summary>
    public void Enter(Action action)
    {
        var before = _current;
        _current = this;
        try
        {
            action();
        }
        finally
        {
            _current = before;
        }
    }

    public void Break(string law)
    {
        Broken ??= $"at {Now.TotalSeconds:0.000} s: {law}";
        Say(law);
    }

    public void Say(string text) => Log?.Invoke($"{Now.TotalSeconds,9:0.0000} {text}");

    /// <summary>Only on the world's own thread: whatever left it would make two runs of a seed differ.</summary>
    public void At(TimeSpan due, Action action)
    {
        if (Environment.CurrentManagedThreadId == _thread)
        {
            _events.Enqueue(action, (Math.Max(due.Ticks, _now), ++_order));
            return;
        }

        _escape ??= Environment.StackTrace;
    }

    public void After(TimeSpan delay, Action action) => At(Now + delay, action);

    /// <summary>Uniform between two times.</summary>
    public TimeSpan Between(double secondsMin, double secondsMax) =>
        TimeSpan.FromSeconds(secondsMin + (Random.NextDouble() * (secondsMax - secondsMin)));

    public bool Chance(double probability) => Random.NextDouble() < probability;

    public T Pick<T>(IReadOnlyList<T> from) => from[Random.Next(from.Count)];

    public void Note(ulong what) => Trace = (Trace ^ what) * 1_099_511_628_211;

    public void Register(SimProcess process) => _processes.Add(process.Name, process);

    /// <summary>The process that an actor is part of; null for the system's own.</summary>
    public SimProcess? ProcessOf(IActorRef? actor)
    {
        if (actor is null || actor.IsNobody()) return null;
        if (_processOf.TryGetValue(actor, out var known)) return known;
        var elements = actor.Path.Elements;
        var process = elements.Count >= 2 && elements[0] == "user"
            ? _processes.GetValueOrDefault(elements[1])
            : null;
        _processOf[actor] = process;
        return process;
    }

    public void Ready(IRunnable run, SimProcess? process)
    {
        if (!_ageOf.TryGetValue(run, out var age)) _ageOf[run] = age = _ageOf.Count;
        _ready.Add(age, (run, process));
    }

    /// <summary>Lets the world go on until a condition holds, time is over, or a law is broken.</summary>
    /// <returns>Whether the condition holds.</returns>
    [SuppressMessage("Design", "CA1031", Justification = "Whatever escapes an event is a broken law.")]
    public bool RunUntil(Func<bool> condition, TimeSpan until)
    {
        var steps = 0;
        while (Broken is null)
        {
            if (_escape is { } stack) Break($"something left the thread: {stack}");
            if (_ready.Count > 0)
            {
                RunOne();
                if (++steps > StepsAtOneTimeMax) Break("messages go round without time passing");
                continue;
            }

            if (condition()) return true;
            if (!_events.TryPeek(out _, out var next) || next.Due > until.Ticks)
            {
                _now = Math.Max(_now, until.Ticks);
                return false;
            }

            var action = _events.Dequeue();
            if (next.Due > _now) steps = 0;
            _now = next.Due;
            Note((ulong)_now);
            try
            {
                action();
            }
            catch (Exception error)
            {
                Break($"an event failed: {error}");
            }
        }

        return false;
    }

    private void RunOne()
    {
        var index = _ready.Count == 1 ? 0 : Random.Next(_ready.Count);
        var (run, process) = _ready.GetValueAtIndex(index);
        Note((ulong)_ready.GetKeyAtIndex(index));
        _ready.RemoveAt(index);
        Running = process;
        if (process is null) run.Run();
        else process.Run(run);
        Running = null;
    }

    private sealed class WorldClock(SimWorld world) : TimeProvider
    {
        private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override DateTimeOffset GetUtcNow() => Epoch + world.Now;

        public override long GetTimestamp() => world.Now.Ticks;
    }
}

/// <summary>A message that is about to be sent; it may yet be lost.</summary>
internal readonly record struct SimMessage(object Content, IActorRef? From, IActorRef To);
