using System.Collections.Immutable;
using Akka.Actor;
using Akka.Configuration;
using Akka.Util;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.Serialization;

public sealed class HyperionMessageSerializerTests(HyperionMessageSerializerTests.Node node)
    : IClassFixture<HyperionMessageSerializerTests.Node>
{
    private static readonly MessageTypes TestTypes = new(typeof(TestProtocol).Assembly);

    // What someone uses who follows no list.
    private static readonly Hyperion.SerializerOptions OpenOptions =
        Hyperion.SerializerOptions.Default.WithDisallowUnsafeType(false);

    public static TheoryData<Type> Messages => [.. MessageTypes.OfSpotServe.Messages];

    public static TheoryData<Type> TestMessages => [.. TestTypes.Messages];

    [Theory]
    [MemberData(nameof(Messages))]
    public void Protocol_record_comes_back_as_it_was_sent(Type message) =>
        AssertRoundTrips(node.Serializer, MessageTypes.OfSpotServe, message);

    [Theory]
    [MemberData(nameof(TestMessages))]
    public void Any_sendable_field_comes_back_as_it_was_sent(Type message) =>
        AssertRoundTrips(node.TestSerializer, TestTypes, message);

    [Fact]
    public void Default_array_stays_default()
    {
        var serializer = node.Serializer;
        var message = new ReplicaProtocol.TokensGenerated(new Epoch(1), new RequestId("a"), 0, default, null);

        var copy = (ReplicaProtocol.TokensGenerated)RoundTrip(serializer, message);

        Assert.True(copy.Tokens.IsDefault);
    }

    [Fact]
    public void Prompt_of_8192_tokens_fits_and_takes_at_most_three_bytes_a_token()
    {
        var serializer = node.Serializer;
        var message = Submit([.. Enumerable.Range(0, 8192).Select(i => i * 31 % 128_256)]);

        var bytes = serializer.ToBinary(message);

        Assert.InRange(bytes.Length, 8192, (3 * 8192) + 300);
        SameContent.Holds(message, serializer.FromBinary(bytes, typeof(object)), "submit");
    }

    [Fact]
    public void Message_that_is_too_long_is_refused_at_the_sender_and_says_how_long_it_is()
    {
        var serializer = node.Serializer;
        var message = Submit([.. Enumerable.Repeat(100_000, 50_000)]);

        var error = Assert.Throws<MessageTooLongException>(() => serializer.ToBinary(message));

        Assert.InRange(error.MessageBytes, 150_000, 151_000);
        Assert.Contains("120,000", error.Message, StringComparison.Ordinal);
        Assert.Contains("Submit", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Unknown_type_is_refused_when_sent()
    {
        var serializer = node.Serializer;

        var error = Assert.Throws<UnknownMessageTypeException>(() => serializer.ToBinary(new Uri("http://localhost")));

        Assert.Equal("System.Uri", error.TypeName);
    }

    [Fact]
    public void Part_of_a_message_is_no_message()
    {
        var serializer = node.Serializer;
        var forged = Forge(OpenOptions.WithKnownTypes(MessageTypes.OfSpotServe.All), "just text");

        Assert.Throws<UnknownMessageTypeException>(() => serializer.FromBinary(forged, typeof(object)));
    }

    public static TheoryData<object> Unknown =>
    [
        new TestProtocol.Elsewhere.NotAMessage(1),
        new Uri("http://localhost"),
        new System.Text.StringBuilder("x"),
        typeof(System.Diagnostics.Process),
        new InvalidOperationException("boo"),
        new Action(() => { }),
        new List<int> { 1 },
        new Dictionary<string, int> { ["a"] = 1 },
        new[] { "array" },
    ];

    [Theory]
    [MemberData(nameof(Unknown))]
    public void Bytes_that_name_an_unknown_type_are_refused(object value)
    {
        // The attacker's serializer knows no list, so it writes the names of its types.
        var bytes = Forge(OpenOptions, value);

        // A type that another serializer of this process has loaded already is refused all the same.
        new Hyperion.Serializer(OpenOptions).Deserialize(new MemoryStream(bytes[4..]));

        Assert.Throws<UnknownMessageTypeException>(
            () => node.Serializer.FromBinary(bytes, typeof(object)));
    }

    [Fact]
    public void Bytes_with_an_unknown_type_inside_a_known_message_are_refused()
    {
        var message = new TestProtocol.Everything(
            true, 1, 1, 1, 1, 1, 1, 1, "", null, Guid.Empty, default, default, default, null, null, default, null,
            new TestProtocol.Shape.Nothing(), new TestProtocol.Elsewhere.NotAMessage(1), ActorRefs.Nobody, null);
        var withoutAnimal = TestTypes.All.Where(t => t != typeof(TestProtocol.Elsewhere.NotAMessage));
        var forged = Forge(
            OpenOptions.WithKnownTypes(withoutAnimal).WithSurrogates(
            [
                Hyperion.Surrogate.Create<ISurrogated, ISurrogate>(
                    from => from.ToSurrogate(node.System), to => to.FromSurrogate(node.System)),
            ]),
            message,
            TestTypes);

        Assert.ThrowsAny<System.Runtime.Serialization.SerializationException>(
            () => node.TestSerializer.FromBinary(forged, typeof(object)));
    }

    [Fact]
    public void Message_of_another_build_is_refused_with_both_fingerprints()
    {
        var bytes = node.TestSerializer.ToBinary(new TestProtocol.Empty());

        var error = Assert.Throws<MessageFormatException>(
            () => node.Serializer.FromBinary(bytes, typeof(object)));

        Assert.Contains($"{TestTypes.Fingerprint:x8}", error.Message, StringComparison.Ordinal);
        Assert.Contains($"{MessageTypes.OfSpotServe.Fingerprint:x8}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_bytes_are_refused_and_never_crash()
    {
        var serializer = node.Serializer;
        var good = serializer.ToBinary(Submit([1, 2, 300, 70_000]));
        var random = new Random(5);

        for (var round = 0; round < 2_000; round++)
        {
            var bytes = good[..random.Next(5, good.Length + 1)];
            bytes[random.Next(4, bytes.Length)] = (byte)random.Next(256);
            var error = Record.Exception(() => serializer.FromBinary(bytes, typeof(object)));
            Assert.True(error is null or System.Runtime.Serialization.SerializationException, $"{error}");
        }
    }

    private static ReplicaProtocol.Submit Submit(ImmutableArray<int> prompt) => new(
        new Epoch(3),
        new GenerationRequest(
            new RequestId("cmpl-1"),
            new GenerationSpec(prompt, new GenerationParameters(16, SamplingParameters.Greedy, [2])),
            []));

    private static byte[] Forge(Hyperion.SerializerOptions options, object value, MessageTypes? types = null)
    {
        var stream = new MemoryStream();
        stream.Write(BitConverter.GetBytes((types ?? MessageTypes.OfSpotServe).Fingerprint));
        new Hyperion.Serializer(options).Serialize(value, stream);
        return stream.ToArray();
    }

    private static object RoundTrip(HyperionMessageSerializer serializer, object message) =>
        serializer.FromBinary(serializer.ToBinary(message), typeof(object));

    private void AssertRoundTrips(HyperionMessageSerializer serializer, MessageTypes types, Type message)
    {
        var generator = new MessageGenerator(types, new Random(1), node.Actor);

        for (var round = 0; round < 30; round++)
        {
            var sent = generator.Make(message);
            SameContent.Holds(sent, RoundTrip(serializer, sent), message.Name);
        }
    }

    /// <summary>One system and one serializer of each list: Hyperion compiles code for every type.</summary>
    public sealed class Node : IDisposable
    {
        public Node()
        {
            Serializer = new HyperionMessageSerializer((ExtendedActorSystem)System, MessageTypes.OfSpotServe);
            TestSerializer = new HyperionMessageSerializer((ExtendedActorSystem)System, TestTypes);
            Actor = System.ActorOf(Props.Empty);
        }

        public ActorSystem System { get; } = ActorSystem.Create(
            "serialization", ConfigurationFactory.ParseString("akka.loglevel = OFF, akka.stdout-loglevel = OFF"));

        internal HyperionMessageSerializer Serializer { get; }

        internal HyperionMessageSerializer TestSerializer { get; }

        public IActorRef Actor { get; }

        public void Dispose() => System.Dispose();
    }
}
