using System.Collections.Concurrent;
using Akka.TestKit;
using SpotServe.Actors.Persistence;
using Xunit;

namespace SpotServe.Tests.Persistence;

/// <summary>What is known of the journal's state, and since when.</summary>
public sealed class JournalWatchTests : PatientTestKit
{
    private readonly ManualClock _clock = new();
    private readonly JournalHealth _health = new();
    private readonly ConcurrentQueue<string> _told = [];
    private readonly ScriptedProbe _probe = new();

    public JournalWatchTests()
        : base("""akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """) =>
        _health.Told += _told.Enqueue;

    private TestScheduler Time => (TestScheduler)Sys.Scheduler;

    [Fact]
    public void Full_disk_is_known_within_two_seconds_and_its_end_within_half_of_one()
    {
        Sys.ActorOf(JournalWatch.Props(_probe, _health, new JournalWatchOptions(), _clock));
        _probe.Error = new IOException("disk full");

        Advance(TimeSpan.FromSeconds(2));
        Await(() => _health.Trouble == "disk full");
        _probe.Error = null;
        Advance(TimeSpan.FromSeconds(0.5));

        Await(() => _health.Trouble is null);
        Assert.Equal(2, _told.Count);
    }

    [Fact]
    public void Operator_is_told_of_trouble_once_however_many_writes_fail()
    {
        for (var i = 0; i < 1000; i++) _health.Failed("disk full");

        Assert.Contains("disk full", Assert.Single(_told), StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_entries_are_told_once_each_and_only_the_first_few_are_kept()
    {
        for (var i = 0; i < 1000; i++)
        {
            _health.Damaged($"request {i}");
            _health.Damaged("request 0");
        }

        Assert.Equal(_health.Damages, _told);
        Assert.InRange(_told.Count, 2, 20);
    }

    private void Await(Func<bool> condition) => AwaitCondition(
        condition, Patience, cancellationToken: TestContext.Current.CancellationToken);

    private void Advance(TimeSpan time) => AwaitAssert(
        () =>
        {
            // The actor arms its timer when a try has ended, on another thread.
            Time.Advance(time);
            Assert.True(_probe.TakeTried());
        },
        Patience);

    private sealed class ScriptedProbe : IJournalProbe
    {
        private int _tried;

        public Exception? Error { get; set; }

        public bool TakeTried() => Interlocked.Exchange(ref _tried, 0) > 0;

        public Task WriteAsync(CancellationToken cancel)
        {
            Interlocked.Increment(ref _tried);
            return Error is { } error ? Task.FromException(error) : Task.CompletedTask;
        }
    }
}
