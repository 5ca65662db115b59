using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// One end of a link: frames out, frames in, in order. Blocking, for dedicated threads: one may send while another
/// receives. Disposal from any thread releases both.
/// </summary>
public interface ILink : IDisposable
{
    LinkKey Key { get; }

    /// <summary>What to call the other end in errors.</summary>
    string Peer { get; }

    /// <summary>Name of the peer's node; null where it is not known, as in one process.</summary>
    string? Node => null;

    /// <summary>Sends a frame; waits while the peer is too far behind. The payload may be reused at once.</summary>
    /// <exception cref="PeerLostException">The peer is gone or this end was closed.</exception>
    void Send(FrameKind kind, long step, ReadOnlySpan<byte> payload);

    /// <summary>Waits for the next frame, which must be of this kind and step; its payload comes next.</summary>
    /// <returns>Bytes of the payload, at most <paramref name="payloadBytesMax"/>.</returns>
    /// <exception cref="PeerLostException">The peer is gone, broke the protocol, or this end was closed.</exception>
    int ReceiveHeader(FrameKind kind, long step, int payloadBytesMax);

    /// <summary>Takes the payload of the frame whose header was received; exactly as long as it said.</summary>
    /// <exception cref="PeerLostException">The peer is gone or this end was closed.</exception>
    void ReceivePayload(Span<byte> payload);
}

public static class LinkExtensions
{
    /// <summary>Receives a frame whose payload has exactly the length of <paramref name="payload"/>.</summary>
    /// <exception cref="PeerLostException">The peer is gone, broke the protocol, or this end was closed.</exception>
    public static void Receive(this ILink link, FrameKind kind, long step, Span<byte> payload)
    {
        var length = link.ReceiveHeader(kind, step, payload.Length);
        if (length != payload.Length)
        {
            throw link.Lost($"it sent {length} bytes of {kind} in step {step} where {payload.Length} were due");
        }

        link.ReceivePayload(payload);
    }

    /// <summary>What to throw when the peer is gone or broke the protocol.</summary>
    internal static PeerLostException Lost(this ILink link, string reason, Exception? inner = null) =>
        new(link.Peer, reason, inner) { Node = link.Node };

    internal static void Send(this ILink link, FrameKind kind, long step, ReadOnlySpan<float> payload) =>
        link.Send(kind, step, MemoryMarshal.AsBytes(payload));

    internal static void Receive(this ILink link, FrameKind kind, long step, Span<float> payload) =>
        link.Receive(kind, step, MemoryMarshal.AsBytes(payload));
}
