using System.Runtime.InteropServices;
using System.Text;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// Standard output or error by its descriptor. The streams of <see cref="Console"/> hold a lock that all writers share
/// while the system writes: a reader that stopped would hold up everybody who says anything.
/// </summary>
internal sealed partial class StandardStream(int descriptor) : Stream
{
    private const int OutputDescriptor = 1;
    private const int ErrorDescriptor = 2;
    private const int Interrupted = 4;   // EINTR

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public static TextWriter OpenOutput() =>
        Open(OutputDescriptor, Console.OpenStandardOutput);

    public static TextWriter OpenError() =>
        Open(ErrorDescriptor, Console.OpenStandardError);

    public override void Flush()
    {
        // Nothing is kept back.
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <exception cref="IOException">Nobody reads it, or the disk behind it is full.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var written = NativeWrite(descriptor, buffer, buffer.Length);
            if (written >= 0)
            {
                buffer = buffer[(int)written..];
            }
            else if (Marshal.GetLastPInvokeError() != Interrupted)
            {
                throw new IOException($"Descriptor {descriptor}: {Marshal.GetLastPInvokeErrorMessage()}");
            }
        }
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private static StreamWriter Open(int descriptor, Func<Stream> elsewhere) => new(
        OperatingSystem.IsWindows() ? elsewhere() : new StandardStream(descriptor), new UTF8Encoding(false));

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint NativeWrite(int descriptor, ReadOnlySpan<byte> buffer, nint count);
}
