using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>Compiled kernels on disk. A cubin depends on the sources, the options, the device model and the driver:
/// together they are its key.</summary>
internal static class KernelCache
{
    private const string Main = "decode.cu";

    /// <summary>The embedded sources, by file name.</summary>
    private static readonly Lazy<SortedDictionary<string, string>> Sources = new(ReadSources);

    /// <summary>What this process compiles or has read, by file: who asks for the same meanwhile waits.</summary>
    private static readonly ConcurrentDictionary<string, Lazy<byte[]>> Known = [];

    /// <summary>The kernels for a device, a cubin for each part: compiled now (a second or two, all parts at once)
    /// unless they are on disk.</summary>
    /// <exception cref="KernelsUnavailableException">They cannot be compiled here.</exception>
    public static IReadOnlyList<byte[]> Load(int device, IReadOnlyList<KernelPart> parts)
    {
        var images = new byte[parts.Count][];
        var failures = new ConcurrentQueue<Exception>();
        // Threads of their own: a compilation would hold a thread of the pool for seconds.
        var threads = parts.Select((part, i) => new Thread(() =>
        {
            try
            {
                images[i] = Load(device, part);
            }
            catch (Exception error)
            {
                // The thread's edge: the caller gets it.
                failures.Enqueue(error);
            }
        })
        { IsBackground = true, Name = $"compile {part.Name}" }).ToArray();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        if (!failures.TryDequeue(out var failure)) return images;
        throw failure is KernelsUnavailableException or TorchLoadException
            ? new KernelsUnavailableException(failure.Message)
            : new InvalidOperationException("The kernels were not compiled.", failure);
    }

    /// <summary>Has parts compiled beside what goes on, so that they are there when they are asked for. What fails is
    /// told to who asks.</summary>
    public static void Begin(int device, IReadOnlyList<KernelPart> parts) => new Thread(() =>
    {
        try
        {
            Load(device, parts);
        }
        catch (Exception error) when (error is KernelsUnavailableException or InvalidOperationException)
        {
            // A later Load finds it again.
        }
    })
    { IsBackground = true, Name = "compile kernels" }.Start();

    private static byte[] Load(int device, KernelPart part)
    {
        var capability = CudaDriver.Capability(device).ToString(CultureInfo.InvariantCulture);
        string[] options =
        [
            $"--gpu-architecture=sm_{capability}{(part.IsForOneKind ? "a" : "")}", "--std=c++17", "--fmad=false",
            $"-DPART_{part.Name}",
            .. part.Definitions.Select(definition => $"-D{definition}"),
        ];
        var file = Path.Combine(TorchNative.CacheFolder("kernels"), $"{Key(device, options)}.cubin");
        var image = Known.GetOrAdd(file, _ => new Lazy<byte[]>(() => Make(file, options)));
        try
        {
            return image.Value;
        }
        catch
        {
            Known.TryRemove(new KeyValuePair<string, Lazy<byte[]>>(file, image));
            throw;
        }
    }

    private static byte[] Make(string file, string[] options)
    {
        if (File.Exists(file)) return File.ReadAllBytes(file);
        var headers = Sources.Value.Where(source => source.Key != Main).ToDictionary();
        var image = Nvrtc.Compile(Main, Sources.Value[Main], headers, options);
        // Written beside and renamed: another process that starts now sees all of it or none.
        var partial = $"{file}.{Environment.ProcessId}.{Environment.CurrentManagedThreadId}.partial";
        File.WriteAllBytes(partial, image);
        File.Move(partial, file, overwrite: true);
        return image;
    }

    private static string Key(int device, string[] options)
    {
        var text = new StringBuilder();
        foreach (var (name, source) in Sources.Value) text.Append(name).Append('\n').Append(source).Append('\n');
        foreach (var option in options) text.Append(option).Append('\n');
        text.Append(CudaDriver.Name(device)).Append('\n').Append(CudaDriver.Version());
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())))[..32];
    }

    private static SortedDictionary<string, string> ReadSources()
    {
        const string Folder = "Kernels.";
        var assembly = typeof(KernelCache).Assembly;
        var sources = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var resource in assembly.GetManifestResourceNames())
        {
            if (!resource.StartsWith(Folder, StringComparison.Ordinal)) continue;
            using var reader = new StreamReader(assembly.GetManifestResourceStream(resource)!);
            sources.Add(resource[Folder.Length..], reader.ReadToEnd());
        }

        return sources;
    }
}
