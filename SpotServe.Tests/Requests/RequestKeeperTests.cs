using System.Collections.Immutable;
using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Requests;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Requests;

public sealed class RequestKeeperTests : PatientTestKit
{
    private static readonly RequestKeeperOptions Options = new();
    private readonly ManualClock _clock = new();
    private readonly TestProbe _requests;
    private readonly TestProbe _asked;
    private readonly ScriptedJournal _journal;

    public RequestKeeperTests()
        : base("""akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """)
    {
        _requests = CreateTestProbe("requests");
        _asked = CreateTestProbe("asked");
        _journal = new ScriptedJournal(_asked);
        var keeper = Sys.ActorOf(RequestKeeper.Props(_journal, () => _requests, Options, _clock));
        // Once it answers it has set its timers.
        keeper.Tell(new Identify(nameof(keeper)), TestActor);
        ExpectMsg<ActorIdentity>(cancellationToken: Cancel);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Open_requests_are_woken_at_the_start_and_regularly()
    {
        Begin();
        _journal.Open.SetResult([new RequestId("a"), new RequestId("b")]);
        Assert.Equal("a", _requests.ExpectMsg<Wake>(cancellationToken: Cancel).Id.Value);
        Assert.Equal("b", _requests.ExpectMsg<Wake>(cancellationToken: Cancel).Id.Value);

        _journal.Open = new();
        Advance(Options.WakeEvery);
        ExpectQuestion("open");
        _journal.Open.SetResult([new RequestId("b")]);

        Assert.Equal("b", _requests.ExpectMsg<Wake>(cancellationToken: Cancel).Id.Value);
    }

    [Fact]
    public void Journal_is_not_asked_again_while_it_has_not_answered()
    {
        Begin();

        Advance(Options.WakeEvery);
        Advance(Options.WakeEvery);

        _asked.ExpectNoMsg(TimeSpan.FromMilliseconds(200), Cancel);
    }

    [Fact]
    public void Failed_question_is_asked_again()
    {
        Begin();
        _journal.Open.SetException(new IOException("the database is down"));
        _journal.Open = new();

        // The failure reaches the keeper on another thread than this one.
        AwaitAssert(
            () =>
            {
                Advance(Options.WakeEvery);
                var asked = _asked.ExpectMsg<string>(TimeSpan.FromMilliseconds(200), cancellationToken: Cancel);
                Assert.Equal("open", asked);
            },
            cancellationToken: Cancel);
    }

    [Fact]
    public void Journal_is_swept_at_the_start_soon_again_while_there_is_more_and_then_hourly()
    {
        Begin();
        _journal.Sweep.SetResult(true);
        _journal.Sweep = new();

        AdvanceUntil("sweep", Options.SweepAgainAfter);
        _journal.Sweep.SetResult(false);
        _journal.Sweep = new();

        AdvanceUntil("sweep", Options.SweepEvery);
    }

    private void Begin()
    {
        Advance(Options.FirstAfter);
        Assert.Equivalent(
            (string[])["open", "sweep"],
            new[]
            {
                _asked.ExpectMsg<string>(cancellationToken: Cancel),
                _asked.ExpectMsg<string>(cancellationToken: Cancel),
            });
    }

    private void ExpectQuestion(string question) =>
        Assert.Equal(question, _asked.ExpectMsg<string>(cancellationToken: Cancel));

    /// <summary>The answer before reaches the keeper on another thread: only then does its timer run.</summary>
    private void AdvanceUntil(string question, TimeSpan time) => AwaitAssert(
        () =>
        {
            Advance(time);
            _asked.FishForMessage<string>(
                asked => asked == question, TimeSpan.FromMilliseconds(200), cancellationToken: Cancel);
        },
        cancellationToken: Cancel);

    private void Advance(TimeSpan time) => ((TestScheduler)Sys.Scheduler).Advance(time);

    /// <summary>Reports each question and answers when the test does.</summary>
    private sealed class ScriptedJournal(IActorRef asked) : IRequestJournal
    {
        public TaskCompletionSource<ImmutableArray<RequestId>> Open { get; set; } = new();

        public TaskCompletionSource<bool> Sweep { get; set; } = new();

        public Task<ImmutableArray<RequestId>> FindOpenAsync(int max, CancellationToken cancel)
        {
            asked.Tell("open");
            return Open.Task;
        }

        public Task<bool> SweepAsync(DateTimeOffset before, CancellationToken cancel)
        {
            asked.Tell("sweep");
            return Sweep.Task;
        }
    }
}
