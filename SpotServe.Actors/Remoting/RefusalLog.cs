using Akka.Event;

namespace SpotServe.Actors.Remoting;

/// <summary>
/// Warnings that somebody outside can cause: at most one line in a while, with the count of those before it that were
/// left out. Never a stack trace. Thread-safe.
/// </summary>
internal sealed class RefusalLog(ILoggingAdapter log, TimeProvider clock)
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(5);

    /// <summary>Whatever the peer had written into it, a line stays a line.</summary>
    private const int CharactersMax = 300;

    private readonly Lock _lock = new();
    private DateTimeOffset _nextAt = DateTimeOffset.MinValue;
    private long _leftOut;

    public void Warn(string what)
    {
        long leftOut;
        lock (_lock)
        {
            var now = clock.GetUtcNow();
            if (now < _nextAt)
            {
                _leftOut++;
                return;
            }

            _nextAt = now + Period;
            (leftOut, _leftOut) = (_leftOut, 0);
        }

        var line = what.Length <= CharactersMax ? what : what[..CharactersMax];
        if (leftOut == 0) log.Warning("{What}", line);
        else log.Warning("{What} ({LeftOut} more since the last such line)", line, leftOut);
    }
}
