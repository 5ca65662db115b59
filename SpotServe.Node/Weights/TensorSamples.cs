using System.Security.Cryptography;
using System.Text;

namespace SpotServe.Node.Weights;

/// <summary>
/// A hash of a checkpoint's numbers that does not read all of them: small tensors whole, of others the two ends and two
/// places between that depend on the name. Another training, a merge or a conversion changes numbers everywhere, and so
/// here; a few changed bytes elsewhere are not seen. It costs some 16 KiB of reading for each tensor.
/// </summary>
internal static class TensorSamples
{
    private const int WholeMax = 16 << 10;
    private const int BlockBytes = 4 << 10;
    private const int Readers = 8;

    /// <returns>In hexadecimal; the same for the same tensors in any order.</returns>
    public static string Hash(IEnumerable<TensorLocation> tensors)
    {
        var hashes = tensors.OrderBy(location => location.Tensor.Name, StringComparer.Ordinal)
            .AsParallel().AsOrdered().WithDegreeOfParallelism(Readers).Select(HashOf).ToArray();
        using var all = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var hash in hashes) all.AppendData(hash);
        return Convert.ToHexStringLower(all.GetHashAndReset());
    }

    private static unsafe byte[] HashOf(TensorLocation location)
    {
        var (file, tensor) = location;
        var name = SHA256.HashData(Encoding.UTF8.GetBytes(tensor.Name));
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(name);
        var start = file.Pointer(tensor);
        if (tensor.Bytes <= WholeMax)
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
