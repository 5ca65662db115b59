using Akka.Event;
using SpotServe.Actors.Remoting;
using Xunit;

namespace SpotServe.Tests.Remoting;

public sealed class RefusalLogTests
{
    private readonly ManualClock _clock = new();
    private readonly Queue<(DateTimeOffset At, Action Action)> _later = new();
    private readonly ListedLog _lines = new();

    [Fact]
    public void Of_many_warnings_one_is_written_and_then_how_many_more_there_were()
    {
        var log = Log();

        for (var i = 0; i < 1000; i++) log.Warn($"from {i}");
        Assert.Equal(["from 0"], _lines.Written);
        Pass(TimeSpan.FromSeconds(5));

        Assert.Equal(["from 0", "999 more of that kind were left out; the last: from 999"], _lines.Written);
        Assert.Empty(_later);
    }

    [Fact]
    public void Lines_stay_as_rare_however_long_it_goes_on_and_none_is_uncounted()
    {
        var log = Log();

        for (var i = 0; i < 500; i++)
        {
            log.Warn("again");
            Pass(TimeSpan.FromMilliseconds(100));   // 50 s in all
        }

        Pass(TimeSpan.FromSeconds(5));
        Assert.InRange(_lines.Written.Count, 2, 12);
        Assert.Equal(500, _lines.Written.Sum(
            line => int.TryParse(line.Split(' ')[0], out var leftOut) ? leftOut : 1));
    }

    [Fact]
    public void Line_is_cut_whatever_the_peer_had_written_into_it()
    {
        Log().Warn(new string('x', 10_000));

        Assert.Equal(300, Assert.Single(_lines.Written).Length);
    }

    private RefusalLog Log() =>
        new(_lines, _clock, (delay, action) => _later.Enqueue((_clock.GetUtcNow() + delay, action)));

    private void Pass(TimeSpan time)
    {
        _clock.Advance(time);
        while (_later.TryPeek(out var next) && next.At <= _clock.GetUtcNow()) _later.Dequeue().Action();
    }

    private sealed class ListedLog() : LoggingAdapterBase(SemanticLogMessageFormatter.Instance)
    {
        public List<string> Written { get; } = [];

        public override bool IsDebugEnabled => true;

        public override bool IsInfoEnabled => true;

        public override bool IsWarningEnabled => true;

        public override bool IsErrorEnabled => true;

        protected override void NotifyLog(LogLevel logLevel, object message, Exception? cause = null) =>
            Written.Add($"{message}");
    }
}
