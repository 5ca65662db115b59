using System.Collections.Immutable;
using Akka.Actor;
using CsCheck;
using SpotServe.Actors.Fragments;
using Xunit;
using static SpotServe.Actors.Fragments.FragmentProtocol;

namespace SpotServe.Tests.Fragments;

public sealed class ReassemblyTests
{
    private static readonly FragmentLimits Limits = new()
    {
        WholeBytesMax = 10,
        FragmentBytes = 8,
        IncomingFromOneMax = 3,
        IncomingFromOneBytesMax = 100,
        IncomingBytesMax = 150,
        SendersMax = 4,
    };

    private static readonly IActorRef Relay = new NamedRef("relay");
    private static readonly IActorRef Target = new NamedRef("target");
    private static readonly IActorRef Sender = new NamedRef("sender");

    [Fact]
    public void Message_is_whole_and_given_once_whatever_the_order_and_however_often_its_fragments_come() =>
        Gen.Select(Gen.Byte.Array[1, 90], Gen.Int[0, 1000]).Sample((message, seed) =>
        {
            var random = new Random(seed);
            var fragments = Split(1, message);
            Fragment[] coming = [.. fragments, .. fragments.Where(_ => random.Next(2) == 0)];
            random.Shuffle(coming);
            var reassembly = new Reassembly(Limits);

            var complete = coming.Select(fragment => reassembly.Take(Relay, fragment, TimeSpan.Zero))
                .OfType<Taking.Complete>().ToArray();

            Assert.Equal(message, Assert.Single(complete).Message);
            Assert.Equal(0, reassembly.Bytes);
            Assert.Equal(0, reassembly.Count);
        });

    [Fact]
    public void Message_that_misses_a_fragment_is_never_given_and_forgotten_after_the_silence() =>
        Gen.Select(Gen.Byte.Array[9, 90], Gen.Int[0, 1000]).Sample((message, seed) =>
        {
            var fragments = Split(1, message);
            var lost = seed % fragments.Length;
            var reassembly = new Reassembly(Limits);

            foreach (var fragment in fragments.Where(fragment => fragment.Index != lost))
                Assert.IsType<Taking.Taken>(reassembly.Take(Relay, fragment, TimeSpan.Zero));
            Assert.Equal(1, reassembly.Count);
            reassembly.Expire(Limits.SilenceMax);

            Assert.Equal(0, reassembly.Count);
            Assert.Equal(0, reassembly.Bytes);
        });

    [Fact]
    public void Fragments_that_drip_are_forgotten_when_their_time_is_over()
    {
        var reassembly = new Reassembly(Limits);
        var fragments = Split(1, new byte[90]);
        var step = Limits.SilenceMax / 2;

        for (var now = TimeSpan.Zero; now < Limits.TransferMax + Limits.SilenceMax; now += step)
        {
            reassembly.Take(Relay, fragments[(int)(now / step) % (fragments.Length - 1)], now);
            reassembly.Expire(now);
            Assert.True(reassembly.Bytes <= 90);
        }

        reassembly.Expire(Limits.TransferMax * 2);
        Assert.Equal(0, reassembly.Bytes);
    }

    [Fact]
    public void Whatever_strangers_send_no_more_is_kept_than_the_limits_say_and_right_messages_stay_right() =>
        Gen.Int[0, int.MaxValue].Sample(
            seed =>
            {
                var random = new Random(seed);
                var reassembly = new Reassembly(Limits);
                var now = TimeSpan.Zero;
                for (var i = 0; i < 300; i++)
                {
                    now += TimeSpan.FromMilliseconds(random.Next(200));
                    if (random.Next(20) == 0) reassembly.Expire(now);
                    var from = new NamedRef($"relay{random.Next(8)}");
                    if (reassembly.Take(from, Hostile(random), now) is Taking.Complete complete)
                        Assert.All(complete.Message, value => Assert.Equal(7, value));
                    Assert.InRange(reassembly.Bytes, 0, Limits.IncomingBytesMax);
                    Assert.InRange(reassembly.Count, 0, Limits.IncomingFromOneMax * Limits.SendersMax);
                }

                // Their leftovers do not stay, and then there is room again.
                reassembly.Expire(now + Limits.TransferMax);
                Assert.Equal(0, reassembly.Bytes);
                Assert.True(reassembly.IsIdle);
            },
            iter: 300);

    [Fact]
    public void A_fragment_takes_no_more_memory_than_its_bytes_however_long_its_message_claims_to_be()
    {
        var limits = FragmentLimits.Default;
        var reassembly = new Reassembly(limits);
        var length = FragmentLimits.MessageBytesMax;
        var fragment = new Fragment(
            1, 0, limits.Count(length), length, Target, Sender, [.. new byte[limits.FragmentBytes]]);
        var before = GC.GetAllocatedBytesForCurrentThread();

        Assert.IsType<Taking.Taken>(reassembly.Take(Relay, fragment, TimeSpan.Zero));

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 20_000);
        Assert.IsType<Taking.Refused>(reassembly.Take(
            Relay, fragment with { Transfer = 2, MessageBytes = int.MaxValue, Count = int.MaxValue }, TimeSpan.Zero));
    }

    [Fact]
    public void One_message_too_many_takes_the_place_of_the_one_that_was_silent_for_longest()
    {
        var reassembly = new Reassembly(Limits);
        for (var transfer = 1; transfer <= 4; transfer++)
            reassembly.Take(Relay, Split(transfer, new byte[20])[0], TimeSpan.FromSeconds(transfer * 0.1));

        Assert.Equal(3, reassembly.Count);
        Assert.Equal(new Taking.Taken(1), reassembly.Take(Relay, Split(1, new byte[20])[1], TimeSpan.FromSeconds(1)));
        Assert.Equal(new Taking.Taken(2), reassembly.Take(Relay, Split(4, new byte[20])[1], TimeSpan.FromSeconds(1)));
    }

    [Fact]
    public void Senders_do_not_share_their_transfers_numbers()
    {
        var reassembly = new Reassembly(Limits);
        var (one, other) = (new byte[12], new byte[12]);
        other.AsSpan().Fill(9);
        reassembly.Take(Relay, Split(1, one)[0], TimeSpan.Zero);

        reassembly.Take(new NamedRef("another"), Split(1, other)[0], TimeSpan.Zero);
        var taking = reassembly.Take(Relay, Split(1, one)[1], TimeSpan.Zero);

        Assert.Equal(one, Assert.IsType<Taking.Complete>(taking).Message);
    }

    internal static Fragment[] Split(long transfer, byte[] message) =>
    [
        .. Enumerable.Range(0, Limits.Count(message.Length)).Select(index => new Fragment(
            transfer, index, Limits.Count(message.Length), message.Length, Target, Sender,
            [.. message.AsSpan(index * Limits.FragmentBytes, Limits.BytesOf(index, message.Length))])),
    ];

    /// <summary>Fragments of messages that are all sevens; some have a field that is not as it should be.</summary>
    private static Fragment Hostile(Random random)
    {
        var message = new byte[random.Next(1, 60)];
        message.AsSpan().Fill(7);
        var fragments = Split(random.Next(6), message);
        var fragment = fragments[random.Next(fragments.Length)];
        return random.Next(12) switch
        {
            0 => fragment with { Index = random.Next(-5, 20) },
            1 => fragment with { Count = random.Next(2) == 0 ? int.MaxValue : random.Next(-5, 20) },
            2 => fragment with { MessageBytes = random.Next(2) == 0 ? int.MaxValue : random.Next(-5, 100) },
            3 => fragment with { Content = [.. Enumerable.Repeat((byte)7, random.Next(40))] },
            4 => fragment with { Content = default(ImmutableArray<byte>) },
            5 => fragment with { Target = null! },
            6 => fragment with { Sender = null! },
            7 => fragment with { Target = new NamedRef("another") },
            _ => fragment,
        };
    }
}
