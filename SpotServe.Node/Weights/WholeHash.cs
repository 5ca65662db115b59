using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace SpotServe.Node.Weights;

/// <summary>
/// SHA-256 over all bytes of a checkpoint's files. They are read slowly, so that a node that serves hardly notices, and
/// once: the hash is kept in a folder under the files' names, sizes and times, and holds until one of those changes.
/// </summary>
/// <param name="folder">Where hashes are kept. One that cannot be used costs another reading and nothing else.</param>
/// <param name="bytesPerSecond">Most that is read.</param>
internal sealed class WholeHash(string folder, long bytesPerSecond, TimeProvider clock)
{
    private const int BlockBytesMax = 16 << 20;

    private static readonly TimeSpan Turn = TimeSpan.FromMilliseconds(50);

    /// <summary>The hash, from the cache or from the files.</summary>
    /// <param name="files">In the order in which they are hashed.</param>
    /// <returns>In hexadecimal; null when a file changed meanwhile: then there is nothing to be said of it.</returns>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public async Task<string?> OfAsync(IReadOnlyList<string> files, CancellationToken cancel)
    {
        var key = KeyOf(files);
        var kept = Path.Combine(folder, $"weights-{key}.sha256");
        if (Read(kept) is { } known) return known;
        var hash = await ReadAllAsync(files, cancel);
        if (KeyOf(files) != key) return null;
        Keep(kept, hash);
        return hash;
    }

    private async Task<string> ReadAllAsync(IReadOnlyList<string> files, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var turns = new PeriodicTimer(Turn, clock);
        var each = (int)Math.Clamp(bytesPerSecond / (1_000 / Turn.Milliseconds), 1, BlockBytesMax);
        var block = ArrayPool<byte>.Shared.Rent(each);
        try
        {
            foreach (var path in files)
            {
                await using var file = new FileStream(
                    path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0, useAsync: true);
                int read;
                while ((read = await file.ReadAsync(block.AsMemory(0, each), cancel)) > 0)
                {
                    hash.AppendData(block, 0, read);
                    await turns.WaitForNextTickAsync(cancel);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>A file that was replaced or written to has another time of birth or of change.</summary>
    private static string KeyOf(IReadOnlyList<string> files)
    {
        var text = new StringBuilder();
        foreach (var path in files)
        {
            var file = new FileInfo(Path.GetFullPath(path));
            text.Append(
                CultureInfo.InvariantCulture,
                $"{file.FullName}\0{file.Length}\0{file.LastWriteTimeUtc.Ticks}\0{file.CreationTimeUtc.Ticks}\n");
        }

        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())))[..32];
    }

    private static string? Read(string path)
    {
        try
        {
            if (!File.Exists(path) || new FileInfo(path).Length != 2 * SHA256.HashSizeInBytes) return null;
            var hash = File.ReadAllText(path);
            return hash.All(char.IsAsciiHexDigitLower) ? hash : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Written beside it and moved into place, so that nobody reads a part.</summary>
    private static void Keep(string path, string hash)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            var fresh = $"{path}.{Environment.ProcessId}";
            File.WriteAllText(fresh, hash);
            File.Move(fresh, path, overwrite: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // It is read again at the next start.
        }
    }
}
