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

    /// <summary>Waits for the next frame; its payload comes next. The caller judges kind, step and length.</summary>
    /// <exception cref="PeerLostException">The peer is gone, what came is no frame, or this end was
    /// closed.</exception>
    FrameInfo ReceiveHeader();

    /// <summary>Takes the payload of the frame whose header was received; exactly as long as it said.</summary>
    /// <exception cref="PeerLostException">The peer is gone or this end was closed.</exception>
    void ReceivePayload(Span<byte> payload);
}

public static class LinkExtensions
{
    /// <summary>Waits for the next frame, which must be of this kind and step; its payload comes next.</summary>
    /// <returns>Bytes of the payload, at most <paramref name="payloadBytesMax"/>.</returns>
    /// <exception cref="PeerLostException">The peer is gone, broke the protocol, or this end was closed.</exception>
    public static int ReceiveHeader(this ILink link, FrameKind kind, long step, int payloadBytesMax)
    {
        var frame = link.ReceiveHeader();
        link.Check(frame, kind, step, payloadBytesMax);
        return frame.PayloadBytes;
    }

    /// <exception cref="PeerLostException">The frame is not the one that was due.</exception>
    internal static void Check(this ILink link, FrameInfo frame, FrameKind kind, long step, int payloadBytesMax)
    {
        if (frame.Kind != kind) throw link.Lost($"it sent a frame of kind {frame.Kind} where {kind} was due");
        if (frame.PayloadBytes < 0 || frame.PayloadBytes > payloadBytesMax)
        {
            throw link.Lost($"it sent a payload of {frame.PayloadBytes} bytes; the limit is {payloadBytesMax}");
        }

        if (frame.Step != step) throw link.Lost($"it sent step {frame.Step} where {step} was due");
    }

    /// <summary>Receives what is due of a step, or its failure in place of that.</summary>
    /// <param name="chunkCount">Chunks of the step.</param>
    /// <returns>Null when <paramref name="payload"/> was filled.</returns>
    /// <exception cref="PeerLostException">The peer is gone, broke the protocol, or this end was closed.</exception>
    internal static StepFailure? ReceiveOrFailure(
        this ILink link, FrameKind kind, long step, Span<byte> payload, int chunkCount)
    {
        var frame = link.ReceiveHeader();
        if (frame.Kind == FrameKind.StepFailed) return link.ReceiveFailure(frame, step, chunkCount);
        link.Check(frame, kind, step, payload.Length);
        link.CheckLength(frame, payload.Length);
        link.ReceivePayload(payload);
        return null;
    }

    /// <summary>Takes the payload of a frame of kind <see cref="FrameKind.StepFailed"/>.</summary>
    /// <exception cref="PeerLostException">The peer is gone, broke the protocol, or this end was closed.</exception>
    internal static StepFailure ReceiveFailure(this ILink link, FrameInfo frame, long step, int chunkCount)
    {
        link.Check(frame, FrameKind.StepFailed, step, StepFailureCodec.BytesMax(chunkCount));
        var bytes = new byte[frame.PayloadBytes];
        link.ReceivePayload(bytes);
        return StepFailureCodec.Decode(bytes, chunkCount)
            ?? throw link.Lost($"it sent {bytes.Length} bytes that are no failure of step {step}");
    }

    internal static void Send(this ILink link, long step, StepFailure failure) =>
        link.Send(FrameKind.StepFailed, step, StepFailureCodec.Encode(failure));

    /// <summary>Receives a frame whose payload has exactly the length of <paramref name="payload"/>.</summary>
    /// <exception cref="PeerLostException">The peer is gone, broke the protocol, or this end was closed.</exception>
    public static void Receive(this ILink link, FrameKind kind, long step, Span<byte> payload)
    {
        var frame = link.ReceiveHeader();
        link.Check(frame, kind, step, payload.Length);
        link.CheckLength(frame, payload.Length);
        link.ReceivePayload(payload);
    }

    internal static void CheckLength(this ILink link, FrameInfo frame, int bytes)
    {
        if (frame.PayloadBytes == bytes) return;
        throw link.Lost(
            $"it sent {frame.PayloadBytes} bytes of {frame.Kind} in step {frame.Step} where {bytes} were due");
    }

    /// <summary>What to throw when the peer is gone or broke the protocol.</summary>
    internal static PeerLostException Lost(this ILink link, string reason, Exception? inner = null) =>
        new(link.Peer, reason, inner) { Node = link.Node };

    internal static void Send(this ILink link, FrameKind kind, long step, ReadOnlySpan<float> payload) =>
        link.Send(kind, step, MemoryMarshal.AsBytes(payload));

    internal static void Receive(this ILink link, FrameKind kind, long step, Span<float> payload) =>
        link.Receive(kind, step, MemoryMarshal.AsBytes(payload));
}
