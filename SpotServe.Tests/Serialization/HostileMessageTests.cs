using System.Buffers.Binary;
using System.Runtime.Serialization;
using Akka.Actor;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Serialization;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

using TokenList = System.Collections.Immutable.ImmutableArray<int>;

namespace SpotServe.Tests.Serialization;

/// <summary>Bytes of a sender who knows the list of types and means harm.</summary>
public sealed class HostileMessageTests(HyperionMessageSerializerTests.Node node)
    : IClassFixture<HyperionMessageSerializerTests.Node>
{
    private static readonly MessageTypes Types = MessageTypes.OfSpotServe;

    /// <summary>A reference is a message that holds a reference, and so on: one level is three bytes.</summary>
    [Fact]
    public void Message_in_place_of_a_reference_to_an_actor_is_refused_however_deep()
    {
        const int Deep = 39_800;
        var bytes = Begin();
        for (var i = 0; i < Deep; i++) Known(bytes, typeof(RegisterGateway));
        bytes.WriteByte(0);

        var error = Refusal(bytes);

        Assert.Contains("RegisterGateway stands where RegisterGateway.", error.Message, StringComparison.Ordinal);
        Assert.True(error.ToString().Length < 5_000);
    }

    [Fact]
    public void List_of_lists_of_lists_is_refused()
    {
        const int Deep = 17_100;
        var list = Types.All.First(type => MessageTypes.IsCollection(type) && type != typeof(TokenList));
        var bytes = Begin();
        Known(bytes, typeof(GatewayProtocol.Generate));
        for (var i = 0; i < Deep; i++)
        {
            Known(bytes, list);
            Number(bytes, 1);
        }

        Assert.True(Refusal(bytes).ToString().Length < 5_000);
    }

    /// <summary>Depth is a question of types that can hold themselves; none of the protocols has one yet.</summary>
    [Fact]
    public void Type_that_may_hold_itself_is_read_to_a_bounded_depth()
    {
        var types = new MessageTypes(typeof(NestingProtocol).Assembly);
        var serializer = new HyperionMessageSerializer((ExtendedActorSystem)node.System, types);
        var deepest = Nested(MessageWalk.DepthMax);

        Assert.Equal(deepest, serializer.FromBinary(serializer.ToBinary(deepest), typeof(object)));
        Assert.Throws<MessageFormatException>(
            () => serializer.FromBinary(serializer.ToBinary(Nested(MessageWalk.DepthMax + 1)), typeof(object)));

        static NestingProtocol.Doll Nested(int levels)
        {
            var doll = new NestingProtocol.Doll(0, null);
            for (var i = 1; i < levels; i++) doll = new NestingProtocol.Doll(i, doll);
            return doll;
        }
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(int.MinValue)]
    [InlineData(-2)]
    [InlineData(100_000)]
    public void Length_beyond_what_is_left_allocates_nothing(int length)
    {
        var text = Begin();
        Known(text, typeof(NodeRefused));
        text.WriteByte(255);
        Number(text, length);
        var list = Begin();
        Known(list, typeof(GatewayProtocol.Generate));
        Known(list, typeof(TokenList));
        Number(list, length);
        var named = Begin();
        named.WriteByte(255);
        Number(named, length);
        foreach (var bytes in new[] { text, list, named })
        {
            Refusal(bytes);
            var before = GC.GetAllocatedBytesForCurrentThread();
            Refusal(bytes);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 50_000);
        }
    }

    /// <summary>Every field of every message, with each known type in its place that does not belong there.</summary>
    [Fact]
    public void Known_type_in_a_wrong_place_is_refused_before_hyperion_reads_it()
    {
        var epoch = Begin();
        Known(epoch, typeof(ReplicaProtocol.Cancel));
        Known(epoch, typeof(NodeReleased));   // where its epoch belongs
        epoch.WriteByte(1);

        Assert.Contains("NodeReleased stands where", Refusal(epoch).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_part_of_messages_only_is_no_message_neither_way()
    {
        var part = Begin();
        Known(part, typeof(Epoch));
        part.Write(new byte[8]);

        Refusal(part);
        Assert.Throws<UnknownMessageTypeException>(() => node.Serializer.ToBinary(new Epoch(1)));
    }

    public static TheoryData<Type> Messages => [.. Types.Messages];

    /// <summary>Whatever one to three bytes of a good message are changed to, it is read as a message that can be
    /// written again, or refused in a short text; never anything else.</summary>
    [Theory]
    [MemberData(nameof(Messages))]
    public void Changed_message_is_a_message_or_refused(Type message)
    {
        var random = new Random(message.Name.Length);
        var generator = new MessageGenerator(Types, random, node.Actor);
        for (var round = 0; round < 300; round++)
        {
            var bytes = node.Serializer.ToBinary(generator.Make(message));
            for (var change = random.Next(1, 4); change > 0; change--)
            {
                bytes[random.Next(4, bytes.Length)] = random.Next(4) switch
                {
                    0 => (byte)random.Next(256),
                    1 => 254,
                    2 => 255,
                    _ => 0,
                };
            }

            if (random.Next(4) == 0) bytes = bytes[..random.Next(5, bytes.Length + 1)];
            try
            {
                var read = node.Serializer.FromBinary(bytes, typeof(object));
                Assert.True(Types.IsMessage(read.GetType()));
            }
            catch (SerializationException refusal)
            {
                Assert.InRange(refusal.ToString().Length, 1, 6_000);
            }
        }
    }

    [Fact]
    public void Walk_alone_refuses_what_hyperion_would_have_read_wrongly()
    {
        var random = new Random(3);
        for (var round = 0; round < 20_000; round++)
        {
            var bytes = new byte[random.Next(5, 200)];
            random.NextBytes(bytes);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, Types.Fingerprint);
            if (random.Next(2) == 0)
            {
                bytes[4] = 254;
                BinaryPrimitives.WriteUInt16LittleEndian(
                    bytes.AsSpan(Math.Min(5, bytes.Length - 2)), (ushort)random.Next(Types.All.Length));
            }

            var error = Record.Exception(() => node.Serializer.FromBinary(bytes, typeof(object)));
            Assert.True(error is null or SerializationException, $"{error}");
        }
    }

    private static MemoryStream Begin()
    {
        var bytes = new MemoryStream();
        bytes.Write(BitConverter.GetBytes(Types.Fingerprint));
        return bytes;
    }

    private static void Known(MemoryStream bytes, Type type)
    {
        Assert.True(Types.TryGetIndex(type, out var index), $"{type} is not on the list");
        bytes.WriteByte(254);
        bytes.Write(BitConverter.GetBytes(index));
    }

    private static void Number(MemoryStream bytes, int number) => bytes.Write(BitConverter.GetBytes(number));

    private SerializationException Refusal(MemoryStream bytes) => Assert.ThrowsAny<SerializationException>(
        () => node.Serializer.FromBinary(bytes.ToArray(), typeof(object)));
}
