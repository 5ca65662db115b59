using System.Buffers.Binary;

namespace SpotServe.Actors.DataPlane;

/// <summary>What a link carries. A new kind needs a value here and, where a position has it, a line in
/// <see cref="StageTopology"/>.</summary>
public enum LinkKind : byte
{
    /// <summary>Step plans: leader (d,0,0) to every rank of its replica.</summary>
    Plans = 1,

    /// <summary>Hidden states: stage p rank m to stage p + 1 rank m.</summary>
    Activations = 2,

    /// <summary>Partial sums, both ways: rank i to rank j of one stage; dialled by the lower.</summary>
    Collective = 3,

    /// <summary>Drawn tokens: last stage rank 0 to the leader.</summary>
    Results = 4,

    /// <summary>Slices on request, between two node processes; dialled by who wants them.</summary>
    Transfer = 5,

    /// <summary>Beats of a node process to whoever dials it.</summary>
    Heartbeat = 6,
}

/// <summary>
/// Name of a link. Both ends of a position's link know it beforehand from the layout, and the handshake proves it.
/// Links between node processes (<see cref="OfNodes"/>) belong to no position and no epoch: any number of one kind
/// may be dialled.
/// </summary>
/// <param name="From">The position that dials.</param>
/// <param name="To">The position that accepts.</param>
public readonly record struct LinkKey(Epoch Epoch, LinkKind Kind, Position From, Position To)
{
    /// <summary>Bytes of a key on the wire.</summary>
    public const int Bytes = 36;

    /// <summary>Most replicas, stages or ranks that a key from the network may name.</summary>
    private const int IndexMax = 65_535;

    /// <summary>The name of all links of a kind between node processes.</summary>
    internal static LinkKey OfNodes(LinkKind kind) => new(Epoch.None, kind, default, default);

    /// <summary>Whether it goes to a node process as a whole, and so outlives epochs.</summary>
    internal bool IsOfNodes => Kind is LinkKind.Transfer or LinkKind.Heartbeat;

    public override string ToString() => IsOfNodes ? $"{Kind} link" : $"{Kind} {From}->{To} {Epoch}";

    internal void Write(Span<byte> into)
    {
        into[..4].Clear();
        into[0] = (byte)Kind;
        BinaryPrimitives.WriteInt64LittleEndian(into[4..], Epoch.Value);
        WritePosition(into[12..], From);
        WritePosition(into[24..], To);
    }

    /// <summary>Reads a key that came off the network; false when it names nothing that can exist.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> from, out LinkKey key)
    {
        key = new LinkKey(
            new Epoch(BinaryPrimitives.ReadInt64LittleEndian(from[4..])),
            (LinkKind)from[0],
            ReadPosition(from[12..]),
            ReadPosition(from[24..]));
        return Enum.IsDefined(key.Kind) && key.Epoch.Value >= 0 && IsPossible(key.From) && IsPossible(key.To);
    }

    private static void WritePosition(Span<byte> into, Position position)
    {
        BinaryPrimitives.WriteInt32LittleEndian(into, position.Replica);
        BinaryPrimitives.WriteInt32LittleEndian(into[4..], position.Stage);
        BinaryPrimitives.WriteInt32LittleEndian(into[8..], position.Rank);
    }

    private static Position ReadPosition(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadInt32LittleEndian(from),
        BinaryPrimitives.ReadInt32LittleEndian(from[4..]),
        BinaryPrimitives.ReadInt32LittleEndian(from[8..]));

    private static bool IsPossible(Position position) =>
        position.Replica is >= 0 and <= IndexMax
        && position.Stage is >= 0 and <= IndexMax
        && position.Rank is >= 0 and <= IndexMax;
}
