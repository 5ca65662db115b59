using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace SpotServe.Tests.Golden;

/// <summary>Writes small float32 checkpoints for tests.</summary>
internal static class SafetensorsWriter
{
    public static void Write(string path, IEnumerable<(string Name, long[] Shape, float[] Values)> tensors)
    {
        var header = new Dictionary<string, object> { ["__metadata__"] = new { format = "pt" } };
        var data = new MemoryStream();
        foreach (var (name, shape, values) in tensors)
        {
            var first = data.Length;
            data.Write(MemoryMarshal.AsBytes<float>(values));
            header.Add(name, new { dtype = "F32", shape, data_offsets = new[] { first, data.Length } });
        }

        // Padded as the format advises, so that tensors begin at multiples of 8 bytes.
        var text = JsonSerializer.Serialize(header);
        Write(path, text.PadRight((text.Length + 7) / 8 * 8), data.ToArray());
    }

    public static void Write(string path, string header, ReadOnlySpan<byte> data)
    {
        using var file = File.Create(path);
        var text = Encoding.UTF8.GetBytes(header);
        file.Write(BitConverter.GetBytes((ulong)text.Length));
        file.Write(text);
        file.Write(data);
    }
}

/// <summary>Folders that live as long as the test process.</summary>
internal static class TemporaryFolders
{
    private static readonly Lock Gate = new();
    private static string? _root;

    public static string Create()
    {
        lock (Gate)
        {
            if (_root is null)
            {
                _root = Directory.CreateTempSubdirectory("spotserve-tests-").FullName;
                AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(_root, recursive: true);
            }

            return Directory.CreateDirectory(Path.Combine(_root, Guid.NewGuid().ToString("N"))).FullName;
        }
    }
}
