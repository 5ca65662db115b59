using System.IO.Hashing;
using System.Net.Sockets;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// Moves parts of a block over a proven socket: straight from and into its memory where that is possible, else
/// through a staging buffer. Not thread-safe; one per thread.
/// </summary>
internal sealed class TransferSocket(ProvenSocket socket)
{
    /// <summary>What is staged at once, and the most that is received before it is hashed: it is then still in the
    /// core's cache.</summary>
    private const int PieceBytes = 256 * 1024;

    private readonly XxHash3 _hash = new();
    private byte[]? _staging;

    /// <exception cref="SocketException">The connection broke or the peer took too long.</exception>
    public void SendAll(ReadOnlySpan<byte> bytes) => socket.SendAll(bytes);

    /// <exception cref="SocketException">The connection broke or the peer took too long.</exception>
    public void ReceiveAll(Span<byte> bytes)
    {
        while (bytes.Length > 0) bytes = bytes[ReceiveSome(bytes)..];
    }

    /// <summary>Checksum of a part of a block.</summary>
    public ulong HashOf(ITransferBlock block, long offset, int length)
    {
        _hash.Reset();
        while (length > 0)
        {
            var piece = PieceOf(block, offset, length);
            _hash.Append(piece);
            offset += piece.Length;
            length -= piece.Length;
        }

        return _hash.GetCurrentHashAsUInt64();
    }

    /// <exception cref="SocketException">The connection broke or the peer took too long.</exception>
    public void Send(ITransferBlock block, long offset, int length)
    {
        while (length > 0)
        {
            var piece = PieceOf(block, offset, length);
            SendAll(piece);
            offset += piece.Length;
            length -= piece.Length;
        }
    }

    /// <summary>Receives a part of a block.</summary>
    /// <returns>Its checksum.</returns>
    /// <exception cref="SocketException">The connection broke or the peer took too long.</exception>
    public ulong Receive(ITransferBlock block, long offset, int length)
    {
        _hash.Reset();
        while (length > 0)
        {
            var direct = block.Direct(offset);
            int count;
            if (direct.IsEmpty)
            {
                count = Math.Min(length, PieceBytes);
                var piece = Staging().AsSpan(0, count);
                ReceiveAll(piece);
                _hash.Append(piece);
                block.Write(offset, piece);
            }
            else
            {
                direct = direct[..Math.Min(direct.Length, Math.Min(length, PieceBytes))];
                count = ReceiveSome(direct);
                _hash.Append(direct[..count]);
            }

            offset += count;
            length -= count;
        }

        return _hash.GetCurrentHashAsUInt64();
    }

    private ReadOnlySpan<byte> PieceOf(ITransferBlock block, long offset, int length)
    {
        var direct = block.Direct(offset);
        if (!direct.IsEmpty) return direct[..Math.Min(direct.Length, length)];
        var piece = Staging().AsSpan(0, Math.Min(length, PieceBytes));
        block.Read(offset, piece);
        return piece;
    }

    private byte[] Staging() => _staging ??= new byte[PieceBytes];

    private int ReceiveSome(Span<byte> into)
    {
        var count = socket.Receive(into);
        return count > 0 ? count : throw new SocketException((int)SocketError.ConnectionReset);
    }
}
