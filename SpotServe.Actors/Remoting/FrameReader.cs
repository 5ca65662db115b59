using System.Buffers.Binary;
using Google.Protobuf;

namespace SpotServe.Actors.Remoting;

/// <summary>
/// Cuts a stream into frames: four bytes of length, little-endian, and that many bytes. The buffer grows with what a
/// frame needs, and a frame is bounded.
/// </summary>
internal sealed class FrameReader(Stream stream, int frameBytesMax)
{
    public const int HeaderBytes = sizeof(int);

    private const int BufferBytes = 16 << 10;

    private byte[] _buffer = new byte[BufferBytes];
    private int _start;
    private int _end;

    /// <summary>Waits for the next frame that is not empty; null when the stream ends.</summary>
    /// <exception cref="InvalidDataException">A length that no frame has.</exception>
    public async ValueTask<ByteString?> NextAsync(CancellationToken cancel)
    {
        while (true)
        {
            var need = HeaderBytes;
            if (_end - _start >= HeaderBytes)
            {
                var length = BinaryPrimitives.ReadInt32LittleEndian(_buffer.AsSpan(_start));
                if (length < 0 || length > frameBytesMax)
                {
                    throw new InvalidDataException(
                        $"a frame of {length:N0} bytes; at most {frameBytesMax:N0} are sent");
                }

                need += length;
                if (_end - _start >= need)
                {
                    var frame = ByteString.CopyFrom(_buffer, _start + HeaderBytes, length);
                    _start += need;
                    if (length > 0) return frame;
                    continue;
                }
            }

            MakeRoom(need);
            var read = await stream.ReadAsync(_buffer.AsMemory(_end), cancel).ConfigureAwait(false);
            if (read == 0) return null;
            _end += read;
        }
    }

    private void MakeRoom(int need)
    {
        var held = _end - _start;
        var into = _buffer;
        if (need > _buffer.Length) into = new byte[need];
        else if (held == 0 && _buffer.Length > BufferBytes) into = new byte[BufferBytes];   // after a large frame
        if (held > 0 && (into != _buffer || _start > 0)) _buffer.AsSpan(_start, held).CopyTo(into);
        (_buffer, _start, _end) = (into, 0, held);
    }
}
