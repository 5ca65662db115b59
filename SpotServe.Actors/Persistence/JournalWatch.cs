using Akka.Actor;
using Akka.Event;

namespace SpotServe.Actors.Persistence;

/// <summary>How often the journal is tried.</summary>
internal sealed record JournalWatchOptions
{
    /// <summary>While it takes writes: how long a full disk may go unnoticed when nothing else writes.</summary>
    public TimeSpan Every { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>While it does not: requests wait for the first one that works.</summary>
    public TimeSpan EveryInTrouble { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>A try that takes longer has failed.</summary>
    public TimeSpan ProbeMax { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>
/// One per control node: tries the journal now and then and writes into <see cref="JournalHealth"/> what came of it, so
/// that trouble is known when nothing writes, and its end when nobody dares to. One state; one try at a time.
/// </summary>
internal sealed class JournalWatch : ReceiveActor, IWithTimers
{
    private readonly IJournalProbe _probe;
    private readonly JournalHealth _health;
    private readonly JournalWatchOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly CancellationTokenSource _stopped = new();

    public JournalWatch(IJournalProbe probe, JournalHealth health, JournalWatchOptions options, TimeProvider clock)
    {
        _probe = probe;
        _health = health;
        _options = options;
        _clock = clock;
        Receive<Look>(_ => OnLook());
        Receive<Found>(OnFound);
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(
        IJournalProbe probe, JournalHealth health, JournalWatchOptions options, TimeProvider clock) =>
        Akka.Actor.Props.Create(() => new JournalWatch(probe, health, options, clock));

    protected override void PreStart() => Timers.StartSingleTimer(nameof(Look), Look.Instance, _options.Every);

    protected override void PostStop()
    {
        _stopped.Cancel();
        _stopped.Dispose();
    }

    private void OnLook() => _probe.WriteAsync(_stopped.Token).WaitAsync(_options.ProbeMax, _clock)
        .PipeTo(Self, Self, () => new Found(Error: null), error => new Found(error));

    private void OnFound(Found found)
    {
        if (found.Error is { } error)
        {
            if (_health.Trouble is null) _log.Warning("The journal takes no writes: {Reason}", error.Message);
            _health.Failed(error.Message);
        }
        else
        {
            if (_health.Trouble is not null) _log.Info("The journal takes writes again");
            _health.Worked();
        }

        Timers.StartSingleTimer(
            nameof(Look), Look.Instance, found.Error is null ? _options.Every : _options.EveryInTrouble);
    }

    private sealed record Look
    {
        public static Look Instance { get; } = new();
    }

    private sealed record Found(Exception? Error);
}
