using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Dispatch.SysMsg;
using Akka.Hosting;
using Akka.Remote.Hosting;
using Akka.Remote.Serialization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.Serialization;

/// <summary>Akka's own serializers as an attacker uses them: his process has the real ones.</summary>
public sealed class AkkaSerializersTests : IAsyncLifetime
{
    private readonly IHost _host = Host.CreateDefaultBuilder().ConfigureServices(services => services.AddAkka(
        "guarded", akka => akka
            .WithRemoting("127.0.0.1", 0)
            .WithClustering(new ClusterOptions())
            .WithSingleton<AkkaSerializersTests>("one", Props.Empty)
            .WithDistributedData(_ => { })
            .AddHocon("akka.loglevel = OFF, akka.stdout-loglevel = OFF", HoconAddMode.Prepend)
            .AddSpotServeSerialization())).Build();

    private ExtendedActorSystem System => (ExtendedActorSystem)_host.Services.GetRequiredService<ActorSystem>();

    public async ValueTask InitializeAsync() => await _host.StartAsync(TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync(CancellationToken.None);
        _host.Dispose();
    }

    /// <summary>A new version of Akka may bring a serializer that nobody here has looked at.</summary>
    [Fact]
    public void Every_serializer_of_the_system_is_one_that_was_looked_at()
    {
        string[] known =
        [
            "HyperionMessageSerializer", "UnboundMessageSerializer", "NullSerializer", "ByteArraySerializer",
            "PrimitiveSerializers", "ClusterSingletonMessageSerializer", "MiscSerializer", "SystemMessagesSerializer",
            "SelectionSerializer", "ClusterSerializer", "ShardingSerializer", "ReplicatorSerializer",
            "RegisterSerializer", "NoStreamReferences", "NoRemoteDeployment", "NoProtocolBuffers",
            "NoPersistentMessages", "NoSnapshots", "NoPublishSubscribe", "NoClusterClient", "NoReliableDelivery",
        ];
        for (var id = -100; id < 10_000; id++)
        {
            Akka.Serialization.Serializer? serializer = null;
            _ = Record.Exception(() => serializer = Find(id));
            if (serializer is not null) Assert.Contains(serializer.GetType().Name, known);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(15)]
    [InlineData(30)]
    [InlineData(36)]
    public void Serializer_without_a_use_here_constructs_nothing(int id)
    {
        Sprung.Count = 0;
        foreach (var manifest in (string[])["", typeof(Sprung).AssemblyQualifiedName!, "A", "not a type"])
        {
            Assert.ThrowsAny<SerializationException>(() => System.Serialization.Deserialize(
                global::System.Text.Encoding.UTF8.GetBytes("{\"$type\":\"x\"}"), id, manifest));
        }

        Assert.Equal(0, Sprung.Count);
    }

    [Fact]
    public void Exception_of_a_type_that_the_bytes_name_is_not_made()
    {
        var misc = new MiscMessageSerializer(System);
        var failure = new Status.Failure(new InvalidOperationException("boo"));
        var bytes = misc.ToBinary(failure);

        Assert.Throws<UnknownMessageTypeException>(
            () => System.Serialization.Deserialize(bytes, misc.Identifier, misc.Manifest(failure)));
        Assert.Throws<UnknownMessageTypeException>(() => System.Serialization.Deserialize(
            misc.ToBinary(PoisonPill.Instance), misc.Identifier, misc.Manifest(PoisonPill.Instance)));
    }

    [Fact]
    public void System_messages_watch_and_do_nothing_else()
    {
        var theirs = new SystemMessageSerializer(System);
        var actor = (IInternalActorRef)System.ActorOf(Props.Empty);
        var watch = new Watch(actor, actor);

        Assert.Equal(watch, Read(watch));
        Assert.Throws<UnknownMessageTypeException>(() => Read(new Terminate()));
        Assert.Throws<UnknownMessageTypeException>(() => Read(new Suspend()));
        Assert.Throws<UnknownMessageTypeException>(
            () => Read(new Failed(actor, new InvalidOperationException("boo"), 1)));

        object Read(ISystemMessage message) => System.Serialization.Deserialize(
            theirs.ToBinary(message), theirs.Identifier, Akka.Util.TypeExtensions.TypeQualifiedName(message.GetType()));
    }

    [Fact]
    public void Messages_in_messages_end_at_a_depth_that_every_stack_has()
    {
        var deep = Selection(3_000);

        var error = Assert.ThrowsAny<SerializationException>(
            () => System.Serialization.Deserialize(deep, 6, ""));
        Assert.Equal("at the end", Innermost(System.Serialization.Deserialize(Selection(3), 6, "")));
        Assert.Contains("nested", Innermost(error).Message, StringComparison.Ordinal);

        byte[] Selection(int levels)
        {
            // Each level is the bytes of the one below; the real serializer would need the stack for it, too.
            var bytes = new MessageContainerSerializer(System).ToBinary(
                new ActorSelectionMessage("at the end", [new SelectChildName("a")]));
            for (var i = 1; i < levels; i++) bytes = Wrap(bytes);
            return bytes;
        }
    }

    /// <summary>A selection's payload is its field 1; in that, the bytes are 1 and the serializer's number 2.</summary>
    private static byte[] Wrap(byte[] selection)
    {
        var payload = new MemoryStream();
        using (var output = new Google.Protobuf.CodedOutputStream(payload, leaveOpen: true))
        {
            output.WriteTag(1, Google.Protobuf.WireFormat.WireType.LengthDelimited);
            output.WriteBytes(Google.Protobuf.ByteString.CopyFrom(selection));
            output.WriteTag(2, Google.Protobuf.WireFormat.WireType.Varint);
            output.WriteInt32(6);
        }

        var envelope = new MemoryStream();
        using (var output = new Google.Protobuf.CodedOutputStream(envelope, leaveOpen: true))
        {
            output.WriteTag(1, Google.Protobuf.WireFormat.WireType.LengthDelimited);
            output.WriteBytes(Google.Protobuf.ByteString.CopyFrom(payload.ToArray()));
        }

        return envelope.ToArray();
    }

    private static object Innermost(object message) =>
        message is ActorSelectionMessage selection ? Innermost(selection.Message) : message;

    private static Exception Innermost(Exception error) =>
        error.InnerException is { } inner ? Innermost(inner) : error;

    private Akka.Serialization.Serializer? Find(int id) => (Akka.Serialization.Serializer?)
        typeof(Akka.Serialization.Serialization).GetMethod(
            "GetSerializerById",
            global::System.Reflection.BindingFlags.Instance | global::System.Reflection.BindingFlags.NonPublic
            | global::System.Reflection.BindingFlags.Public)!.Invoke(System.Serialization, [id]);

    public sealed class Sprung
    {
        public Sprung() => Count++;

        public static int Count { get; set; }
    }
}
