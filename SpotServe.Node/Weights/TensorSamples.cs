using System.Security.Cryptography;
using System.Text;

namespace SpotServe.Node.Weights;

/// <summary>
/// A hash of a checkpoint's numbers: of all of them where that takes a moment, else of small tensors whole and of
/// others the two ends and two places between that depend on the name. Another training, a merge or a conversion
/// changes numbers everywhere, and so there; a few changed bytes elsewhere are seen by <see cref="WholeHash"/> alone.
/// Samples cost some 16 KiB of reading for each tensor.
/// </summary>
internal static class TensorSamples
{
    /// <summary>Bytes of a checkpoint that is read whole: a second of a slow disk.</summary>
    private const long CheckpointWholeMax = 256L << 20;

    private const long TensorWholeMax = 16 << 10;
    private const int BlockBytes = 4 << 10;
    private const int Readers = 8;

    /// <returns>In hexadecimal; the same for the same tensors in any order.</returns>
    public static string Hash(IReadOnlyCollection<TensorLocation> tensors)
    {
        var wholeMax = CoverAll(tensors) ? CheckpointWholeMax : TensorWholeMax;
        var hashes = tensors.OrderBy(location => location.Tensor.Name, StringComparer.Ordinal)
            .AsParallel().AsOrdered().WithDegreeOfParallelism(Readers)
            .Select(location => HashOf(location, wholeMax)).ToArray();
        using var all = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var hash in hashes) all.AppendData(hash);
        return Convert.ToHexStringLower(all.GetHashAndReset());
    }

    /// <summary>Whether the hash is of all numbers.</summary>
    public static bool CoverAll(IReadOnlyCollection<TensorLocation> tensors) =>
        tensors.Sum(location => location.Tensor.Bytes) <= CheckpointWholeMax;

    private static unsafe byte[] HashOf(TensorLocation location, long wholeMax)
    {
        var (file, tensor) = location;
        var name = SHA256.HashData(Encoding.UTF8.GetBytes(tensor.Name));
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(name);
        var start = file.Pointer(tensor);
        if (tensor.Bytes <= wholeMax)
        {
            hash.AppendData(new ReadOnlySpan<byte>(start, (int)tensor.Bytes));
            return hash.GetHashAndReset();
        }

        var last = tensor.Bytes - BlockBytes;
        foreach (var at in (long[])
            [0, (long)(BitConverter.ToUInt64(name) % (ulong)last), (long)(BitConverter.ToUInt64(name, 8) % (ulong)last),
                last])
        {
            hash.AppendData(new ReadOnlySpan<byte>(start + at, BlockBytes));
        }

        return hash.GetHashAndReset();
    }
}
