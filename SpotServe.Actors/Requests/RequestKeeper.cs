using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Persistence;

namespace SpotServe.Actors.Requests;

/// <summary>How often the keeper of requests looks, and how much it takes at once.</summary>
internal sealed record RequestKeeperOptions
{
    /// <summary>Time for the journal to make its tables, at the very first start.</summary>
    public TimeSpan FirstAfter { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>An open request whose entity is gone goes on at most this much later.</summary>
    public TimeSpan WakeEvery { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Open requests that are woken at once at most, the oldest; the others follow as these end.</summary>
    public int WokenMax { get; init; } = 20_000;

    public TimeSpan SweepEvery { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Pause between two sweeps while there is more to remove than one takes.</summary>
    public TimeSpan SweepAgainAfter { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Only what is older is removed: more than <see cref="RequestOptions.Retention"/>.</summary>
    public TimeSpan SweptAge { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Longest time for one question to the database.</summary>
    public TimeSpan QueryMax { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>
/// Cluster singleton that sees to it that accepted requests go on: it asks the journal which are open and wakes their
/// entities, at its start and then regularly. So it does not matter how an entity was lost: with its control node, in
/// the restart of the only one, or in a move of its shard. Now and then it removes from the journal what is over. One
/// state; at most one query of each kind is under way.
/// </summary>
internal sealed class RequestKeeper : ReceiveActor, IWithTimers
{
    private readonly IRequestJournal _journal;
    private readonly Func<IActorRef> _requests;
    private readonly RequestKeeperOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly CancellationTokenSource _stopped = new();
    private bool _looking;

    /// <param name="requests">The shard region of request entities, which may start after this actor.</param>
    public RequestKeeper(
        IRequestJournal journal, Func<IActorRef> requests, RequestKeeperOptions options, TimeProvider clock)
    {
        _journal = journal;
        _requests = requests;
        _options = options;
        _clock = clock;
        Receive<Look>(_ => OnLook());
        Receive<Found>(OnFound);
        Receive<LookFailed>(OnLookFailed);
        Receive<Sweep>(_ => OnSweep());
        Receive<Swept>(OnSwept);
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(
        IRequestJournal journal, Func<IActorRef> requests, RequestKeeperOptions options, TimeProvider clock) =>
        Akka.Actor.Props.Create(() => new RequestKeeper(journal, requests, options, clock));

    protected override void PreStart()
    {
        Timers.StartPeriodicTimer(nameof(Look), Look.Instance, _options.FirstAfter, _options.WakeEvery);
        Timers.StartSingleTimer(nameof(Sweep), Sweep.Instance, _options.FirstAfter);
    }

    protected override void PostStop()
    {
        _stopped.Cancel();
        _stopped.Dispose();
    }

    private void OnLook()
    {
        if (_looking) return;
        _looking = true;
        _journal.FindOpenAsync(_options.WokenMax, _stopped.Token).WaitAsync(_options.QueryMax, _clock)
            .PipeTo(Self, Self, open => new Found(open), error => new LookFailed(error));
    }

    private void OnFound(Found found)
    {
        _looking = false;
        var requests = _requests();
        foreach (var id in found.Open) requests.Tell(new RequestProtocol.Wake(id));
    }

    private void OnLookFailed(LookFailed failed)
    {
        _looking = false;
        _log.Warning(
            "The journal did not say which requests are open ({0}); it is asked again in {1}",
            failed.Error.Message, _options.WakeEvery);
    }

    private void OnSweep() => _journal
        .SweepAsync(_clock.GetUtcNow() - _options.SweptAge, _stopped.Token).WaitAsync(_options.QueryMax, _clock)
        .PipeTo(Self, Self, more => new Swept(more, Error: null), error => new Swept(More: false, error));

    private void OnSwept(Swept swept)
    {
        if (swept.Error is { } error)
            _log.Warning("What is over could not be removed from the journal: {0}", error.Message);
        Timers.StartSingleTimer(
            nameof(Sweep), Sweep.Instance, swept.More ? _options.SweepAgainAfter : _options.SweepEvery);
    }

    private sealed record Look
    {
        public static Look Instance { get; } = new();
    }

    private sealed record Sweep
    {
        public static Sweep Instance { get; } = new();
    }

    private sealed record Found(ImmutableArray<RequestId> Open);

    private sealed record LookFailed(Exception Error);

    private sealed record Swept(bool More, Exception? Error);
}
