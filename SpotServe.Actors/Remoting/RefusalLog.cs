using Akka.Actor;
using Akka.Event;

namespace SpotServe.Actors.Remoting;

/// <summary>
/// Warnings that somebody outside can cause: at most one line in a while, with the count of those that were left out,
/// which is said also when no more come. Never a stack trace. Thread-safe.
/// </summary>
/// <param name="later">Has something done after a time.</param>
internal sealed class RefusalLog(ILoggingAdapter log, TimeProvider clock, Action<TimeSpan, Action> later)
{
    internal static readonly TimeSpan Period = TimeSpan.FromSeconds(5);

    /// <summary>Whatever the peer had written into it, a line stays a line.</summary>
    private const int CharactersMax = 300;

    private readonly Lock _lock = new();
    private DateTimeOffset _nextAt = DateTimeOffset.MinValue;
    private long _leftOut;
    private string _last = "";

    public RefusalLog(ILoggingAdapter log, TimeProvider clock, ActorSystem system)
        : this(log, clock, (delay, action) => system.Scheduler.Advanced.ScheduleOnce(delay, action))
    {
    }

    public void Warn(string what)
    {
        lock (_lock)
        {
            var now = clock.GetUtcNow();
            if (now < _nextAt)
            {
                _last = what;
                if (++_leftOut == 1) later(_nextAt - now, SayWhatWasLeftOut);
                return;
            }

            _nextAt = now + Period;
        }

        log.Warning("{What}", Cut(what));
    }

    private void SayWhatWasLeftOut()
    {
        long leftOut;
        string last;
        lock (_lock)
        {
            (leftOut, _leftOut) = (_leftOut, 0);
            last = _last;
            _nextAt = clock.GetUtcNow() + Period;
        }

        log.Warning("{LeftOut} more of that kind were left out; the last: {What}", leftOut, Cut(last));
    }

    private static string Cut(string what) => what.Length <= CharactersMax ? what : what[..CharactersMax];
}
