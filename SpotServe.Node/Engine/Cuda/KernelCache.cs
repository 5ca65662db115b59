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

    /// <summary>The kernels for a device, compiled now (some seconds) unless they are on disk.</summary>
    /// <param name="definitions">Macros of the sources, e.g. HEAD_SIZE=128.</param>
    /// <exception cref="KernelsUnavailableException">They cannot be compiled here.</exception>
    public static byte[] Load(int device, IReadOnlyList<string> definitions)
    {
        var capability = CudaDriver.Capability(device).ToString(CultureInfo.InvariantCulture);
        string[] options =
        [
            $"--gpu-architecture=sm_{capability}", "--std=c++17", "--fmad=false",
            .. definitions.Select(definition => $"-D{definition}"),
        ];
        var file = Path.Combine(TorchNative.CacheFolder("kernels"), $"{Key(device, options)}.cubin");
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
