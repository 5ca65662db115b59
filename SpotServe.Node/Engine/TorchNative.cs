using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using SpotServe.Actors.Hosting;
using TorchSharp;

namespace SpotServe.Node.Engine;

/// <summary>libtorch cannot be loaded; the message says what was tried and what to do.</summary>
public sealed class TorchLoadException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Loads libtorch and TorchSharp's native half once for the process, before anything of TorchSharp is touched: from
/// the packages beside the program, or from the lib folder of an installed PyTorch.
/// </summary>
public static partial class TorchNative
{
    /// <summary>Names an installed PyTorch's lib folder, like the option --torch-lib.</summary>
    public const string EnvironmentVariable = "SPOTSERVE_TORCH_LIB";

    private const string SharpFile = "libLibTorchSharp.so";
    private const int PreloadPassesMax = 8;

    private static readonly Lock Gate = new();
    private static string? _loadedFrom;

    /// <summary>Folder that libtorch came from; null before <see cref="EnsureLoaded"/>.</summary>
    public static string? LoadedFrom => _loadedFrom;

    internal static nint CpuLibrary { get; private set; }

    /// <summary>libtorch's half for GPUs; 0 where it has none.</summary>
    internal static nint CudaLibrary { get; private set; }

    /// <summary>Loads libtorch. Idempotent: later calls do nothing, and fail if they name another folder.</summary>
    /// <param name="torchLib">lib folder of a PyTorch (the one with libtorch_cpu.so); null takes
    /// <see cref="EnvironmentVariable"/>, else the package's.</param>
    /// <exception cref="TorchLoadException">It is not there or does not load.</exception>
    public static void EnsureLoaded(string? torchLib = null)
    {
        lock (Gate)
        {
            torchLib = string.IsNullOrWhiteSpace(torchLib)
                ? Environment.GetEnvironmentVariable(EnvironmentVariable) : torchLib;
            var given = string.IsNullOrWhiteSpace(torchLib) ? null : Path.GetFullPath(torchLib);
            if (_loadedFrom is not null)
            {
                if (given is not null && given != _loadedFrom)
                {
                    throw new TorchLoadException(
                        $"libtorch is already loaded from {_loadedFrom}; it cannot be loaded from {given} as well.");
                }

                return;
            }

            if (!OperatingSystem.IsLinux())
                throw new TorchLoadException("The engine's native libraries are those of linux-x64 only.");
            _loadedFrom = LoadLibraries(given);
        }
    }

    /// <summary>Threads of one operation on the calling thread and on threads that start later.</summary>
    public static void SetThreads(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        torch.set_num_threads(threads);
    }

    /// <summary>Has libtorch do attention on GPUs without cuDNN, whose kernels for 16-bit types with a mask give
    /// different bits from call to call on Hopper. TorchSharp has no switch for it; libtorch's is a setter of its
    /// global context. Call after <see cref="EnsureLoaded"/>.</summary>
    /// <exception cref="TorchLoadException">This libtorch has no such switch.</exception>
    internal static unsafe void SwitchCudnnAttentionOff()
    {
        const string Context = "_ZN2at13globalContextEv", Setter = "_ZN2at7Context14setSDPUseCuDNNEb";
        if (!NativeLibrary.TryGetExport(CpuLibrary, Context, out var context)
            || !NativeLibrary.TryGetExport(CpuLibrary, Setter, out var setter))
        {
            throw new TorchLoadException(
                $"libtorch from {LoadedFrom} has no switch for cuDNN's attention, which does not repeat its results; "
                + "use libtorch 2.5 or later.");
        }

        ((delegate* unmanaged<nint, byte, void>)setter)(((delegate* unmanaged<nint>)context)(), 0);
    }

    /// <summary>Folders of CUDA's libraries that came with libtorch.</summary>
    internal static IEnumerable<string> NvidiaFolders() => NvidiaFolders(_loadedFrom!).Append(_loadedFrom!);

    /// <summary>A folder of the user's for what can be made again; one of this process alone where the user has none,
    /// as a service without a home.</summary>
    internal static string CacheFolder(string name)
    {
        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        var root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache ? cache
            : home.Length > 0 ? Path.Combine(home, ".cache") : null;
        try
        {
            if (root is not null) return Directory.CreateDirectory(Path.Combine(root, "spotserve", name)).FullName;
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException)
        {
            // What is made there is made again by the next process.
        }

        return Directory.CreateTempSubdirectory("spotserve-").FullName;
    }

    /// <summary>Settings of libraries that are loaded later. They are set when the program starts, because glibc's
    /// setenv moves the environment: another thread that looks a variable up at that moment, as the runtime and
    /// libtorch do, reads memory that is freed and ends the process.</summary>
    [ModuleInitializer]
    internal static void SetNativeDefaults()
    {
        if (!OperatingSystem.IsLinux()) return;
        // libgomp reads its settings once, when it is loaded. Threads that spin while they wait bring several nodes
        // on one machine to a halt.
        SetEnvironmentDefault("OMP_WAIT_POLICY", "passive");
        // Huge pages for tensors: weights are touched once while loading, at one fault for each 2 MiB instead of 512.
        SetEnvironmentDefault("THP_MEM_ALLOC_ENABLE", "1");
    }

    private static string LoadLibraries(string? given)
    {
        var sharp = FindInProgram(SharpFile)
            ?? throw new TorchLoadException($"{SharpFile} is not beside the program; publish it for linux-x64.");
        var own = Path.GetDirectoryName(FindInProgram("libtorch_cpu.so"));
        if (given is not null && own is not null && given != own)
        {
            // TorchSharp would find and load the program's own besides, and a process with two of them aborts.
            throw new TorchLoadException(
                $"This program carries a libtorch of its own in {own}, which would be loaded beside that of {given}. "
                + "Build it without one (-p:Torch=none) to use an installed PyTorch.");
        }

        var folder = given ?? own ?? LibtorchPackage.Find();
        if (folder is null)
        {
            throw new TorchLoadException(
                $"libtorch_cpu.so is neither beside the program nor in {LibtorchPackage.Folder}. Get it once with "
                + $"\"spotserve libtorch\", or set --torch-lib or {EnvironmentVariable} to the lib folder of a PyTorch "
                + "(python3 -c 'import torch;print(torch.__path__[0]+\"/lib\")').");
        }

        CpuLibrary = LoadTorch(folder);
        var handle = Load(LoadableSharp(sharp));
        NativeLibrary.SetDllImportResolver(typeof(torch).Assembly, (name, _, _) =>
            name.Contains("LibTorchSharp", StringComparison.Ordinal) ? handle : 0);
        return folder;
    }

    private static nint LoadTorch(string folder)
    {
        var cpu = Path.Combine(folder, "libtorch_cpu.so");
        if (!File.Exists(cpu))
            throw new TorchLoadException($"{folder} holds no libtorch_cpu.so: it is not a PyTorch's lib folder.");

        var cuda = Path.Combine(folder, "libtorch_cuda.so");
        if (File.Exists(cuda))
        {
            if (!NativeLibrary.TryLoad(cuda, out _)) PreloadNvidia(folder);
            CudaLibrary = Load(cuda);
        }

        var torchLibrary = Path.Combine(folder, "libtorch.so");
        if (File.Exists(torchLibrary)) Load(torchLibrary);
        return Load(cpu);
    }

    /// <summary>
    /// A PyTorch wheel keeps CUDA's libraries in sibling folders nvidia/*/lib. A library that is loaded satisfies
    /// others by its name, whatever the search path, so load those that load until no more do.
    /// </summary>
    private static void PreloadNvidia(string folder)
    {
        var left = NvidiaFolders(folder)
            .SelectMany(lib => Directory.EnumerateFiles(lib, "*.so*"))
            .Order(StringComparer.Ordinal)
            .ToList();
        for (var pass = 0; pass < PreloadPassesMax; pass++)
        {
            if (left.RemoveAll(file => NativeLibrary.TryLoad(file, out _)) == 0) return;
        }
    }

    private static IEnumerable<string> NvidiaFolders(string torch)
    {
        var nvidia = Path.GetFullPath(Path.Combine(torch, "..", "..", "nvidia"));
        return Directory.Exists(nvidia)
            ? Directory.EnumerateDirectories(nvidia).Select(package => Path.Combine(package, "lib"))
                .Where(Directory.Exists)
            : [];
    }

    /// <summary>The package's own file, or a patched copy of it where libstdc++ is too old (see ElfPatch).</summary>
    private static string LoadableSharp(string sharp)
    {
        if (NativeLibrary.TryLoad("libstdc++.so.6", out var library)
            && DlVSym(library, ElfPatch.Symbol, ElfPatch.Version) != 0)
        {
            return sharp;
        }

        var image = File.ReadAllBytes(sharp);
        var key = Convert.ToHexStringLower(SHA256.HashData(image))[..16];
        var patched = Path.Combine(CacheFolder("native"), $"{key}-{SharpFile}");
        if (File.Exists(patched) && new FileInfo(patched).Length == image.Length) return patched;

        if (!ElfPatch.Apply(image)) return sharp;
        // Written beside and renamed: another process that starts now sees all of it or none.
        var partial = $"{patched}.{Environment.ProcessId}.partial";
        File.WriteAllBytes(partial, image);
        File.Move(partial, patched, overwrite: true);
        return patched;
    }

    private static string? FindInProgram(string file)
    {
        var searched = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "";
        return searched.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Append(AppContext.BaseDirectory)
            .Append(Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native"))
            .Select(folder => Path.Combine(folder, file))
            .FirstOrDefault(File.Exists);
    }

    private static nint Load(string file)
    {
        try
        {
            return NativeLibrary.Load(file);
        }
        catch (Exception error) when (error is DllNotFoundException or BadImageFormatException)
        {
            throw new TorchLoadException($"{file} does not load: {error.Message}", error);
        }
    }

    /// <summary>Sets a variable for native code (the runtime's own setter does not reach it), unless it is
    /// set.</summary>
    private static void SetEnvironmentDefault(string name, string value) => _ = SetEnv(name, value, overwrite: 0);

    [LibraryImport("libc.so.6", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnv(string name, string value, int overwrite);

    [LibraryImport("libc.so.6", EntryPoint = "dlvsym", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint DlVSym(nint library, string symbol, string version);
}
