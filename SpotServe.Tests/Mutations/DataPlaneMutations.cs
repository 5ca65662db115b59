using SpotServe.Tests.DataPlane;
using SpotServe.Tests.Serialization;

namespace SpotServe.Tests.Mutations;

/// <summary>Bugs of the data plane and of what the control plane writes and reads.</summary>
internal static class DataPlaneMutations
{
    private const string Folder = "SpotServe.Actors/DataPlane/";
    private const string Serialization = "SpotServe.Actors/Serialization/";

    public static Mutation[] All => [.. Links, .. Transfers, .. Serializers];

    private static Mutation[] Links =>
    [
        new("data plane: a step plan may name pages that are not there", Folder + "StepPlanCodec.cs",
            "?? CheckPages(pages, limits.PageCount)",
            "?? CheckPages(pages, int.MaxValue)",
            Killer.Of<StepPlanCodecTests>()),
        new("data plane: a chunk may lie beyond the context", Folder + "StepPlanCodec.cs",
            "chunk.Start > limits.ContextMax - chunk.Count)",
            "chunk.Start > limits.ContextMax)",
            Killer.Of<StepPlanCodecTests>()),
        new("data plane: frames of another epoch are taken", Folder + "Frame.cs",
            "if (sentEpoch != epoch.Value) return",
            "if (sentEpoch < 0) return",
            Killer.Of<LinkTests>()),
        new("data plane: frames may be skipped", Folder + "ILink.cs",
            "if (frame.Step != step) throw",
            "if (frame.Step < step) throw",
            Killer.Of<LinkTests>()),
        new("data plane: anyone who knows the protocol is let in", Folder + "Handshake.cs",
            "return CryptographicOperations.FixedTimeEquals(due, proof[LinkKey.Bytes..]);",
            "return CryptographicOperations.FixedTimeEquals(due, due) && proof.Length > LinkKey.Bytes;",
            Killer.Of<ListenerTests>()),
        new("data plane: a listener that cannot prove itself is believed", Folder + "Handshake.cs",
            "return CryptographicOperations.FixedTimeEquals(due, reply.Slice(4, HMACSHA256.HashSizeInBytes));",
            "return CryptographicOperations.FixedTimeEquals(due, due) && reply.Length > 4;",
            Killer.Of<ConnectTests>(), Killer.Of<ListenerTests>()),
        new("data plane: a node that encrypts gives in to one that does not", Folder + "Securing/LinkCredentials.cs",
            "(true, false) => \"this node encrypts its data plane and the other does not: \" + Cure,",
            "(true, false) => null,",
            Killer.Of<EncryptedLinkTests>()),
        new("data plane: any identity is taken where the secret is known", Folder + "ClusterIdentity.cs",
            "if (IsMember(shown, errors)) return true;",
            "if (shown is not null || IsMember(shown, errors)) return true;",
            Killer.Of<EncryptedLinkTests>()),
        new("data plane: a dialler does not wait until its certificate was taken", Folder + "Securing/ProvenSocket.cs",
            "if (tls.Read(admitted) != 1 || admitted[0] != Admitted) throw Broken(null);",
            "if (admitted[0] != Admitted) throw Broken(null);",
            Killer.Of<EncryptedLinkTests>()),
        new("data plane: a listener waits for TLS as long as a peer likes", Folder + "IncomingLink.cs",
            "using var closing = deadline.Register(Socket.Dispose);",
            "",
            Killer.Of<EncryptedLinkTests>()),
        new("data plane: a process that took another's place is not noticed", Folder + "Heartbeats/PulseMonitor.cs",
            "if (pulse.Incarnation is { } known && known != incarnation) pulse.Verdict",
            "if (pulse.Incarnation is { } known && known < 0) pulse.Verdict",
            Killer.Of<PulseMonitorTests>()),
        new("data plane: time in which this process slept is its peers' silence", Folder + "Heartbeats/PulseMonitor.cs",
            "Silence += gap < max ? gap : max;",
            "Silence += gap < max ? max : gap;",
            Killer.Of<PulseMonitorTests>()),
        new("data plane: ranks add one after the other instead of as a tree", Folder + "TcpCollective.cs",
            """
            for (var step = 1; step < RankCount; step *= 2)
                    {
                        for (var left = 0; left + step < RankCount; left += 2 * step)
                        {
                            // The last sum of all goes where the result belongs.
                            var into = left == 0 && 2 * step >= RankCount ? mine : Of(left, mine);
            """,
            """
            for (var step = 1; step < RankCount; step++)
                    {
                        for (var left = 0; left < 1; left++)
                        {
                            var into = step == RankCount - 1 ? mine : Of(left, mine);
            """,
            Killer.Of<CollectiveTests>()),
    ];

    private static Mutation[] Transfers =>
    [
        new("transfer: a source of an epoch that is over still answers", Folder + "Transfer/TransferServer.cs",
            "if (request.Epoch.Value < current)",
            "if (request.Epoch.Value < 0 * current)",
            Killer.Of<TransferLossTests>()),
        new("transfer: a transfer goes on when its epoch ends", Folder + "Transfer/TransferServer.cs",
            "if (request.Slice.Epoch.Value < Interlocked.Read(ref _oldest)) throw",
            "if (request.Slice.Epoch.Value < 0 * Interlocked.Read(ref _oldest)) throw",
            Killer.Of<TransferLossTests>()),
        new("transfer: decoding is not spared", Folder + "Pacing/PacingLaw.cs",
            "if (slowdown > target)",
            "if (slowdown > 100 * target)",
            Killer.Of<PacingTests>()),
        new("transfer: urgent bytes are held back", Folder + "Transfer/TransferWire.cs",
            "to[37] = slice.Urgent ? (byte)1 : (byte)0;",
            "to[37] = slice.Urgent ? (byte)0 : (byte)0;",
            Killer.Of<TransferTests>()),
    ];

    private static Mutation[] Serializers =>
    [
        new("serializer: unknown types are written and made", Serialization + "KnownTypesFactory.cs",
            "if (!types.TryGetIndex(plain, out _) && !MessageTypes.IsPrimitive(plain) && !IsOnlyDeclared(type))",
            "if (!types.TryGetIndex(plain, out _) && plain.FullName is null)",
            Killer.Of<UnknownTypeTests>()),
        new("serializer: types that bytes name are loaded", Serialization + "KnownTypesFactory.cs",
            "_names.Contains(typeName) ? true : throw",
            "_names.Contains(typeName) || typeName.Length > 0 ? true : throw",
            Killer.Of<UnknownTypeTests>())
        {
            Survives = "bytes that name a type are refused by MessageWalk, before Hyperion asks its own filter",
        },
        new("serializer: a part of a message passes for one", Serialization + "MessageWalk.cs",
            "MayBeNull: false, IndicesOf(types.Messages), null, null);",
            "MayBeNull: false, IndicesOf(types.All), null, null);",
            Killer.Of<HyperionMessageSerializerTests>(), Killer.Of<HostileMessageTests>()),
        new("serializer: messages nest without end", Serialization + "MessageWalk.cs",
            "if (depth >= DepthMax) throw",
            "if (depth >= 1_000 * DepthMax) throw",
            Killer.Of<HostileMessageTests>()),
        new("serializer: another build's bytes are read", Serialization + "HyperionMessageSerializer.cs",
            "if (fingerprint != _types.Fingerprint)",
            "if (fingerprint == 0)",
            Killer.Of<HyperionMessageSerializerTests>()),
        new("serializer: too long a message is sent", Serialization + "HyperionMessageSerializer.cs",
            "return stream.Length <= bytesMax\n",
            "return stream.Length <= 2 * bytesMax\n",
            Killer.Of<HyperionMessageSerializerTests>()),
    ];
}
