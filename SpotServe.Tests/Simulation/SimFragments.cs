using System.Buffers.Binary;
using System.Runtime.Serialization;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using SpotServe.Actors.Serialization;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// Long messages in a simulated world: what a frame carries is drawn, small enough for many messages to go in
/// fragments. Also holds a law: nothing that may be long crosses processes in one piece unless it was measured.
/// </summary>
internal sealed class SimFragments : IMessageCodec, IFragmentRoutes
{
    /// <summary>Messages that hold collections of a length that a model or a machine bounds.</summary>
    private static readonly HashSet<Type> Bounded =
    [
        typeof(ClusterProtocol.RegisterNode),   // a model's tensors and a node's devices
        typeof(ClusterProtocol.ProbeSources),   // the weights of one layer
        typeof(RequestProtocol.Described),   // stop strings and stop tokens
        typeof(ReplicaControlProtocol.ReplicaLoad),   // four epochs
        typeof(FragmentProtocol.Fragment),
    ];

    private static readonly HashSet<Type> Growing =
        [.. MessageTypes.OfSpotServe.Messages.Where(type => !Bounded.Contains(type) && HoldsCollection(type, []))];

    private readonly SimWorld _world;
    private readonly Backlog _backlog = new(long.MaxValue);
    private readonly Dictionary<long, object> _written = [];
    private readonly HashSet<object> _measured = new(ReferenceEqualityComparer.Instance);
    private FragmentLimits _limits;
    private HyperionMessageSerializer? _serializer;

    public SimFragments(SimWorld world)
    {
        _world = world;
        // A token counts five bytes: from all prompts and most runs of tokens being long to none.
        _limits = new FragmentLimits
        {
            WholeBytesMax = SizeBounds.Frame + world.Random.Next(20, 800),
            FragmentBytes = world.Random.Next(60, 600),
            WindowFragments = world.Random.Next(1, 4),
        };
    }

    public Props RelayProps => FragmentRelay.Props(this, _limits, this, _backlog);

    public void InstallIn(ActorSystem system) =>
        system.RegisterExtension(new Provider(new LargeMessages(this, _limits, this, _backlog)));

    /// <summary>From now on messages between processes are written and read as real ones are, with the real limits;
    /// call it before any process starts. It takes seconds.</summary>
    public void WriteForReal(ActorSystem system)
    {
        _serializer = new HyperionMessageSerializer((ExtendedActorSystem)system);
        _limits = FragmentLimits.Default;
    }

    public bool AreTogether(IActorRef one, IActorRef other) =>
        _world.ProcessOf(one) is not { } process || _world.ProcessOf(other) is not { } another || process == another;

    public IActorRef RelayOf(IActorRef actor) => _world.ProcessOf(actor)!.FragmentRelay!;

    public byte[] Write(object message)
    {
        if (_serializer is not null) return _serializer.Write(message, FragmentLimits.MessageBytesMax);
        _measured.Add(message);
        var length = message is IVariableSize { BytesMax: var most }
            ? (int)most
            : _world.Random.Next(sizeof(long), 3 * _limits.WholeBytesMax);
        var bytes = new byte[length];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, _written.Count);
        _written.Add(_written.Count, message);
        return bytes;
    }

    public object Read(byte[] bytes) => _serializer is not null
        ? _serializer.Read(bytes, FragmentLimits.MessageBytesMax)
        : _written[BinaryPrimitives.ReadInt64LittleEndian(bytes)];

    /// <summary>Null when a message may cross as it is, else why not.</summary>
    public string? Violation(object message) => message switch
    {
        _ when _serializer is { } serializer => Unsendable(serializer, message),
        IVariableSize { BytesMax: var most } when most > _limits.WholeBytesMax && !_measured.Contains(message) =>
            $"{message.GetType().Name} of up to {most} bytes crosses in one piece",
        not IVariableSize when Growing.Contains(message.GetType()) && !_measured.Contains(message) =>
            $"{message.GetType().Name} crosses in one piece, and nobody has measured it",
        _ => null,
    };

    private static string? Unsendable(HyperionMessageSerializer serializer, object message)
    {
        try
        {
            serializer.ToBinary(message);
            return null;
        }
        catch (SerializationException error)
        {
            return error.Message;
        }
    }

    private static bool HoldsCollection(Type type, HashSet<Type> seen)
    {
        if (!seen.Add(type)) return false;
        if (MessageTypes.IsCollection(type)) return true;
        if (type.Assembly != typeof(MessageTypes).Assembly || type.IsEnum || type.IsInterface) return false;
        return MessageTypes.FieldsOf(type).Select(field => field.FieldType)
            .Any(field => HoldsCollection(Nullable.GetUnderlyingType(field) ?? field, seen));
    }

    private sealed class Provider(LargeMessages messages) : ExtensionIdProvider<LargeMessages>
    {
        public override LargeMessages CreateExtension(ExtendedActorSystem system) => messages;
    }
}
