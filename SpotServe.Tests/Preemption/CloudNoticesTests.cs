using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Node.Preemption;
using SpotServe.Node.Preemption.Clouds;
using Xunit;

namespace SpotServe.Tests.Preemption;

/// <summary>A metadata service that fails is asked on, and what it says is said once.</summary>
public sealed class CloudNoticesTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public async Task Notice_behind_every_kind_of_failure_is_heard_within_a_bounded_pause()
    {
        var clock = new EagerClock();
        List<string> words = [];
        var protocol = new Script(
            () => [],
            () => throw new HttpRequestException("refused"),
            () => throw new TimeoutException("nothing within 2 s"),
            () => throw new MetadataException("it answered 429") { RetryAfter = TimeSpan.FromHours(1) },
            () => throw new MetadataException("it is not JSON"),
            () => [Leaves(120)]);

        var heard = await FirstAsync(protocol, clock, words, 1);

        Assert.Equal([Leaves(120)], heard);
        Assert.Equal(5, clock.Pauses.Count);
        Assert.Equal(protocol.Period, clock.Pauses[0]);
        Assert.All(clock.Pauses, pause => Assert.InRange(pause, protocol.Period, CloudNotices.PauseMax));
        Assert.Contains("429", Assert.Single(words, word => word.Contains("no answer", StringComparison.Ordinal)));
        Assert.Contains("answers again", words[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_service_repeats_is_said_once_and_an_earlier_end_is_said_again()
    {
        var hint = new MachineEvent.MayLeave("aws", "rebalance");
        var protocol = new Script(
            () => [hint],
            () => [hint, Leaves(120)],
            () => [hint, Leaves(121)],
            () => [Leaves(119), hint]);

        var heard = await FirstAsync(protocol, new EagerClock(), [], 3);

        Assert.Equal([hint, Leaves(120), Leaves(119)], heard);
    }

    [Fact]
    public async Task Board_gives_the_earliest_notice_to_everybody_who_comes_and_survives_a_source_that_ends()
    {
        var later = Leaves(120).Notice;
        var sooner = Leaves(60).Notice;
        var first = new Source();
        var second = new Source();
        List<PreemptionNotice> early = [], late = [];
        var both = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var board = new NoticeBoard([first, second], _ => { });
        using var subscription = board.Subscribe(notice =>
        {
            early.Add(notice);
            if (notice == sooner) both.SetResult();
            else second.Say(new MachineEvent.Leaves(sooner));
        });

        first.Say(new MachineEvent.MayLeave("a", "perhaps"));
        first.Say(new MachineEvent.Leaves(later));
        await both.Task.WaitAsync(Waits.Max, TestContext.Current.CancellationToken);
        using var other = board.Subscribe(late.Add);

        Assert.Equal([later, sooner], early);
        Assert.Equal([sooner], late);
        Assert.Equal(sooner, board.Earliest);
    }

    private static MachineEvent.Leaves Leaves(int seconds) =>
        new(new PreemptionNotice(Start.AddSeconds(seconds), "aws"));

    private static async Task<List<MachineEvent>> FirstAsync(
        ICloudProtocol protocol, TimeProvider clock, List<string> words, int count)
    {
        using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        List<MachineEvent> heard = [];
        await foreach (var said in new CloudNotices(protocol, clock, words.Add).WatchAsync(stop.Token))
        {
            heard.Add(said);
            if (heard.Count == count) break;
        }

        return heard;
    }

    /// <summary>Answers in order, the last one again and again.</summary>
    private sealed class Script(params Func<ImmutableArray<MachineEvent>>[] answers) : ICloudProtocol
    {
        private int _next;

        public string Name => "aws";

        public TimeSpan Period => TimeSpan.FromSeconds(1);

        public Task<ImmutableArray<MachineEvent>> AskAsync(CancellationToken cancel)
        {
            cancel.ThrowIfCancellationRequested();
            try
            {
                return Task.FromResult(answers[Math.Min(_next++, answers.Length - 1)]());
            }
            catch (Exception error)
            {
                return Task.FromException<ImmutableArray<MachineEvent>>(error);
            }
        }
    }

    private sealed class Source : INoticeSource
    {
        private readonly System.Threading.Channels.Channel<MachineEvent> _said =
            System.Threading.Channels.Channel.CreateUnbounded<MachineEvent>();

        public string Name => "test";

        public void Say(MachineEvent said) => _said.Writer.TryWrite(said);

        public IAsyncEnumerable<MachineEvent> WatchAsync(CancellationToken cancel) => _said.Reader.ReadAllAsync(cancel);
    }

    /// <summary>A clock whose waits are over at once, and that remembers them.</summary>
    private sealed class EagerClock : TimeProvider
    {
        public List<TimeSpan> Pauses { get; } = [];

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Pauses.Add(dueTime);
            return System.CreateTimer(callback, state, TimeSpan.Zero, period);
        }
    }
}
