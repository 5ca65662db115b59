using System.Runtime.InteropServices;
using System.Text;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>The kernels cannot be compiled here; the message says why. The plain path serves.</summary>
internal sealed class KernelsUnavailableException(string message) : Exception(message);

/// <summary>CUDA's run-time compiler, from the libraries that come with PyTorch or CUDA.</summary>
internal static unsafe class Nvrtc
{
    private static readonly string[] Names = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

    private static readonly Lazy<nint> Library = new(Find);

    /// <summary>Compiles a source to a cubin.</summary>
    /// <param name="headers">Files that the source includes, by name.</param>
    /// <exception cref="KernelsUnavailableException">There is no compiler, or it refuses the source.</exception>
    public static byte[] Compile(
        string name, string source, IReadOnlyDictionary<string, string> headers, IReadOnlyList<string> options)
    {
        using var texts = new NativeTexts();
        nint program;
        var create = (delegate* unmanaged<nint*, byte*, byte*, int, byte**, byte**, int>)Export("nvrtcCreateProgram");
        Check(
            create(
                &program, texts.Add(source), texts.Add(name), headers.Count, texts.AddAll(headers.Values),
                texts.AddAll(headers.Keys)),
            "nvrtcCreateProgram");
        try
        {
            var compile = (delegate* unmanaged<nint, int, byte**, int>)Export("nvrtcCompileProgram");
            if (compile(program, options.Count, texts.AddAll(options)) != 0)
            {
                var log = Encoding.UTF8.GetString(Read(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog"));
                throw new KernelsUnavailableException($"{name} does not compile: {log}");
            }

            return Read(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN");
        }
        finally
        {
            _ = ((delegate* unmanaged<nint*, int>)Export("nvrtcDestroyProgram"))(&program);
        }
    }

    private static byte[] Read(nint program, string size, string content)
    {
        nuint bytes;
        Check(((delegate* unmanaged<nint, nuint*, int>)Export(size))(program, &bytes), size);
        var result = new byte[bytes];
        fixed (byte* start = result)
            Check(((delegate* unmanaged<nint, byte*, int>)Export(content))(program, start), content);
        return result;
    }

    private static nint Export(string name) => NativeLibrary.GetExport(Library.Value, name);

    private static void Check(int status, string call)
    {
        if (status != 0) throw new KernelsUnavailableException($"NVRTC answered error {status} to {call}.");
    }

    /// <summary>A library that libtorch brought along is loaded already and is found by its name.</summary>
    private static nint Find()
    {
        foreach (var name in Names)
        {
            if (NativeLibrary.TryLoad(name, out var library)) return library;
        }

        foreach (var folder in TorchNative.NvidiaFolders())
        {
            foreach (var file in Directory.EnumerateFiles(folder, "libnvrtc.so*"))
            {
                if (NativeLibrary.TryLoad(file, out var library)) return library;
            }
        }

        throw new KernelsUnavailableException("No NVRTC was found beside libtorch or in the system's folders.");
    }

    /// <summary>Texts in native memory, for as long as a call needs them.</summary>
    private sealed class NativeTexts : IDisposable
    {
        private readonly List<nint> _blocks = [];

        public byte* Add(string text)
        {
            var block = Marshal.StringToCoTaskMemUTF8(text);
            _blocks.Add(block);
            return (byte*)block;
        }

        public byte** AddAll(IEnumerable<string> texts)
        {
            var all = texts.Select(text => (nint)Add(text)).ToArray();
            var block = Marshal.AllocCoTaskMem(Math.Max(1, all.Length) * sizeof(nint));
            Marshal.Copy(all, 0, block, all.Length);
            _blocks.Add(block);
            return (byte**)block;
        }

        public void Dispose()
        {
            foreach (var block in _blocks) Marshal.FreeCoTaskMem(block);
        }
    }
}
