using Akka.Actor;
using CsCheck;
using SpotServe.Actors.Fragments;
using Xunit;
using static SpotServe.Actors.Fragments.FragmentProtocol;

namespace SpotServe.Tests.Fragments;

public sealed class OutboxTests
{
    private static readonly FragmentLimits Limits = new()
    {
        WholeBytesMax = 10,
        FragmentBytes = 8,
        WindowFragments = 2,
        TransfersMax = 2,
    };

    private static readonly IActorRef Relay = new NamedRef("relay");

    private readonly Wire _wire = new();

    [Fact]
    public void A_window_of_fragments_is_on_its_way_and_the_next_goes_when_one_was_taken()
    {
        _wire.Outbox.Add(Relay, Long("a", 1, bytes: 40), TimeSpan.Zero);

        Assert.Equal([0, 1], _wire.Sent.Select(fragment => fragment.Index));
        _wire.Outbox.OnTaken(Relay, 1, 1, TimeSpan.Zero);
        Assert.Equal([0, 1, 2], _wire.Sent.Select(fragment => fragment.Index));
        _wire.Outbox.OnTaken(Relay, 1, 3, TimeSpan.Zero);
        Assert.Equal([0, 1, 2, 3, 4], _wire.Sent.Select(fragment => fragment.Index));
        _wire.Outbox.OnTaken(Relay, 1, 5, TimeSpan.Zero);
        Assert.True(_wire.Outbox.IsIdle);
    }

    [Fact]
    public void A_process_gets_so_many_transfers_at_once_and_another_process_is_not_kept_waiting()
    {
        foreach (var name in (string[])["a", "b", "c"]) _wire.Outbox.Add(Relay, Long(name, 1, 40), TimeSpan.Zero);
        _wire.Outbox.Add(new NamedRef("other relay"), Long("d", 1, 40), TimeSpan.Zero);

        Assert.Equal(["a", "b", "d"], _wire.Sent.Select(fragment => fragment.Target.Path.Name).Distinct());
    }

    [Fact]
    public void A_short_message_waits_for_the_long_one_before_it()
    {
        _wire.Outbox.Add(Relay, Long("a", 1, bytes: 16), TimeSpan.Zero);
        _wire.Outbox.Add(Relay, Short("a", 2), TimeSpan.Zero);
        Assert.Empty(_wire.Whole);

        _wire.Outbox.OnTaken(Relay, 1, 2, TimeSpan.Zero);

        Assert.Equal([2], _wire.Whole);
        Assert.True(_wire.Outbox.IsIdle);
    }

    [Fact]
    public void Of_states_that_wait_only_the_latest_is_sent()
    {
        _wire.Outbox.Add(Relay, Long("a", 1, bytes: 16), TimeSpan.Zero);
        foreach (var number in (int[])[2, 3, 4])
            _wire.Outbox.Add(Relay, Short("a", number) with { IsLatest = true }, TimeSpan.Zero);

        _wire.Outbox.OnTaken(Relay, 1, 2, TimeSpan.Zero);

        Assert.Equal([4], _wire.Whole);
        Assert.Equal([2, 3, 1, 4], _wire.Ended);
    }

    [Fact]
    public void Only_the_process_that_a_transfer_goes_to_has_a_word_in_it()
    {
        _wire.Outbox.Add(Relay, Long("a", 1, bytes: 16), TimeSpan.Zero);

        _wire.Outbox.OnTaken(new NamedRef("stranger"), 1, 2, TimeSpan.Zero);
        _wire.Outbox.OnRefused(new NamedRef("stranger"), 1, "no", TimeSpan.Zero);
        _wire.Outbox.OnTaken(Relay, 1, int.MaxValue, TimeSpan.Zero);

        Assert.Empty(_wire.Ended);
    }

    [Fact]
    public void A_silent_transfer_is_given_up_alone_while_its_process_answers_others()
    {
        foreach (var name in (string[])["a", "b", "c"]) _wire.Outbox.Add(Relay, Long(name, 1, 40), TimeSpan.Zero);
        _wire.Outbox.OnTaken(Relay, 2, 1, Limits.SilenceMax / 2);

        _wire.Outbox.Expire(Limits.SilenceMax);

        Assert.Equal(["a"], _wire.Lost);
        Assert.Contains("c", _wire.Sent.Select(fragment => fragment.Target.Path.Name));
    }

    [Fact]
    public void What_waits_for_a_process_that_says_nothing_is_given_up_with_the_rest()
    {
        foreach (var name in (string[])["a", "b", "c", "d"]) _wire.Outbox.Add(Relay, Long(name, 1, 40), TimeSpan.Zero);

        _wire.Outbox.Expire(Limits.SilenceMax);

        Assert.Equal(["a", "b", "c", "d"], _wire.Lost);
        Assert.True(_wire.Outbox.IsIdle);
    }

    [Fact]
    public void Messages_of_a_pair_arrive_in_order_and_once_whatever_is_lost_and_all_of_them_when_nothing_is() =>
        Gen.Select(Gen.Int[0, int.MaxValue], Gen.Int[0, 3]).Sample(
            (seed, lossTenths) =>
            {
                var network = new LossyNetwork(Limits, new Random(seed), lossTenths / 10.0);

                network.Run();

                Assert.True(network.Outbox.IsIdle, "something waits for ever");
                Assert.Equal(network.Added, network.EndedCount);
                foreach (var (pair, numbers) in network.Arrived)
                {
                    Assert.Equal(numbers.Distinct().Order(), numbers);
                    if (lossTenths == 0) Assert.Equal(network.AddedTo[pair], numbers.Count);
                }
            },
            iter: 300);

    internal static OutgoingMessage Long(string name, int number, int bytes) => new(
        Pair(name), number, [.. Enumerable.Repeat((byte)number, bytes)], IsLatest: false);

    internal static OutgoingMessage Short(string name, int number) =>
        new(Pair(name), number, Bytes: null, IsLatest: false);

    private static ActorPair Pair(string name) => new(new NamedRef("sender"), new NamedRef(name));

    /// <summary>Notes what the outbox does.</summary>
    private sealed class Wire : IOutboxSink
    {
        public Wire() => Outbox = new Outbox(Limits, this);

        public Outbox Outbox { get; }

        public List<Fragment> Sent { get; } = [];

        public List<int> Whole { get; } = [];

        public List<int> Ended { get; } = [];

        public List<string> Lost { get; } = [];

        public void Send(IActorRef relay, Fragment fragment) => Sent.Add(fragment);

        public byte[]? SendWhole(OutgoingMessage message)
        {
            Whole.Add((int)message.Message);
            return null;
        }

        void IOutboxSink.Ended(OutgoingMessage message, string? lost)
        {
            Ended.Add((int)message.Message);
            if (lost is not null) Lost.Add(message.Pair.Target.Path.Name);
        }
    }
}
