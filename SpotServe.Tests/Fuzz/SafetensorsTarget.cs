using SpotServe.Actors.ModelFolder;
using SpotServe.Node.Weights;

namespace SpotServe.Tests.Fuzz;

/// <summary>A safetensors file: tensors that lie within it, or a line that names it.</summary>
internal sealed class SafetensorsTarget : FuzzTarget
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

    public override IReadOnlyList<byte[]> Corpus { get; } =
    [
        File("""{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}""", 16),
        File(
            """
            {"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]},
            "empty":{"dtype":"F16","shape":[0,5],"data_offsets":[6,6]},
            "mask":{"dtype":"BOOL","shape":[2],"data_offsets":[6,8]}}
            """, 8),
    ];

    public override IReadOnlyList<string> Words { get; } =
    [
        "dtype", "shape", "data_offsets", "__metadata__", "F32", "BF16", "I64", "F8_E4M3", "[0,8]", "-1", "\"", "}",
        "[",
    ];

    public override Task TakeAsync(byte[] input, Random random)
    {
        System.IO.File.WriteAllBytes(_path, random.Next(2) == 0 ? input : WithItsLength(input));
        try
        {
            using var file = SafetensorsFile.Open(_path);
            foreach (var one in file.Tensors.Values)
            {
                if (one.Offset < 8 || one.Bytes < 0 || one.Offset + one.Bytes > new FileInfo(_path).Length)
                    throw new FuzzException($"tensor {one.Name} leaves the file: {one.Offset} and {one.Bytes} bytes");
            }
        }
        catch (ModelFormatException error)
        {
            CheckComplaint(error, _path);
        }

        return Task.CompletedTask;
    }

    public override ValueTask DisposeAsync()
    {
        System.IO.File.Delete(_path);
        return base.DisposeAsync();
    }

    private static byte[] File(string header, int dataBytes) =>
        [.. BitConverter.GetBytes((ulong)header.Length), .. Bytes(header), .. new byte[dataBytes]];

    /// <summary>The header's length made right again, so that what was changed in it is looked at.</summary>
    private static byte[] WithItsLength(byte[] input)
    {
        var end = input.AsSpan().LastIndexOf((byte)'}') + 1;
        if (end <= 8) return input;
        byte[] output = [.. input];
        BitConverter.GetBytes((ulong)(end - 8)).CopyTo(output, 0);
        return output;
    }
}
