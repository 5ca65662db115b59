using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using SpotServe.Actors;
using SpotServe.Actors.Execution;
using SpotServe.Actors.ModelFolder;
using SpotServe.Actors.Planning;
using SpotServe.Node.Engine.Cuda;
using SpotServe.Node.Engine.Families;
using SpotServe.Node.Lifetime;
using SpotServe.Node.Weights;
using TorchSharp;

namespace SpotServe.Node.Engine;

/// <summary>How to open a model on a device.</summary>
public sealed record TorchRuntimeOptions
{
    /// <summary>A Hugging Face folder: config.json and safetensors.</summary>
    public required string ModelFolder { get; init; }

    /// <summary>Name that clients use; null takes the folder's.</summary>
    public string? ServedName { get; init; }

    /// <summary>"cpu", "cuda" or "cuda:N".</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>Type of weights and cache in device memory; null is float32 on the CPU, the checkpoint's on
    /// CUDA.</summary>
    public ElementType? WeightType { get; init; }

    /// <summary>Threads of one engine's operations, 1 to 1024; null takes all cores.</summary>
    public int? Threads
    {
        get;
        init => field = value is { } threads ? Bounds.Between(threads, 1, 1024) : null;
    }

    /// <summary>Device memory that may be used, in bytes; null takes 9/10 of the device's (CPU: of the
    /// machine's).</summary>
    public long? MemoryBytes
    {
        get;
        init => field = value is { } bytes ? Bounds.Between(bytes, 1, 1L << 50) : null;
    }

    /// <summary>On the CPU, weights whose form in the file is that in memory are used where the file is mapped:
    /// loading takes a moment, and several devices share the memory. The files must then not be written to in place
    /// (a truncated one ends the process); false copies all weights.</summary>
    public bool MapWeights { get; init; } = true;

    /// <summary>What a GPU's engines promise of their bits.</summary>
    public Numerics Numerics { get; init; }

    /// <summary>Told in one line where the time to the first step went.</summary>
    public Action<string>? Tell { get; init; }

    /// <summary>Told in one line what goes on but should not be so.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>lib folder of an installed PyTorch; see <see cref="TorchNative.EnsureLoaded"/>.</summary>
    public string? TorchLib { get; init; }
}

/// <summary>A model folder on one device of this machine.</summary>
public sealed class TorchDeviceRuntime : IDeviceRuntime
{
    private const int ReadThreadsMax = 2;

    private readonly ModelConfig _config;
    private readonly TorchSharp.torch.Device _device;
    private readonly Checkpoint _checkpoint;
    private readonly TorchEngines _engines;
    private readonly StartTimeline? _timeline;

    /// <summary>Opens the model's files (headers only) and the device.</summary>
    /// <exception cref="ModelFormatException">The folder is not a model of a known family.</exception>
    /// <exception cref="TorchLoadException">libtorch does not load, or lacks the device.</exception>
    public TorchDeviceRuntime(TorchRuntimeOptions options)
    {
        var threads = options.Threads ?? Environment.ProcessorCount;
        _config = ModelConfig.Load(options.ModelFolder, ModelFamily.RulesOf);
        var family = ModelFamily.For(_config);
        _checkpoint = Checkpoint.Open(options.ModelFolder);
        try
        {
            var device = TorchDevices.Open(options.Device, options.TorchLib, threads);
            var onCpu = device.type == DeviceType.CPU;
            var weightType = options.WeightType ?? (onCpu ? ElementType.Float32 : _checkpoint.StoredType);
            var source = new CheckpointSource(
                _checkpoint, family.Tensors(_config).Names(_config.Layers), Math.Min(threads, ReadThreadsMax),
                options.MapWeights);
            Model = family.Describe(
                _config, options.ServedName ?? NameOf(options.ModelFolder), Fingerprint(options.ModelFolder),
                weightType);
            MemoryBytes = options.MemoryBytes ?? TorchDevices.MemoryBytes(device) / 10 * 9;
            Description = TorchDevices.Describe(device, threads);
            var timeline = options.Tell is { } tell
                ? new StartTimeline(TimeProvider.System, StartTimeline.ProcessStart(), Description, tell) : null;
            timeline?.Reached("process, libtorch and device");
            _timeline = timeline;
            // Beside joining, the first layout and the weights: none of them needs many cores.
            if (CudaDecoder.MayServe(device, weightType))
            {
                var expected = KernelPart.Expected(Model, CudaDriver.Capability(device.index));
                KernelCache.Begin(device.index, expected);
            }

            _device = device;
            ProcessorShare = onCpu ? Math.Min(1, threads / (double)Environment.ProcessorCount) : 0;
            SpeedModel = $"{TorchDevices.ModelName(device, threads)} {weightType}".ToLowerInvariant();
            _engines = new TorchEngines(Model, _config, source, device, slice => options.Warn?.Invoke(
                $"{slice} has other numbers than {options.ModelFolder}: not used, read from the folder instead"),
                options.Numerics, timeline, options.Tell);
        }
        catch
        {
            _checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>Lets GPUs of this process reach each other's memory, before anything runs on them.</summary>
    /// <returns>What came of it, in words; null where there are not several GPUs.</returns>
    /// <exception cref="TorchLoadException">The driver failed.</exception>
    public static string? Connect(IReadOnlyList<TorchDeviceRuntime> runtimes)
    {
        int[] gpus = [.. runtimes.Select(runtime => runtime._device).Where(device => device.type == DeviceType.CUDA)
            .Select(device => device.index).Distinct()];
        if (gpus.Length < 2) return null;
        return PeerAccess.Switch(gpus) is { } why
            ? $"not all GPUs reach each other's memory: {why}"
            : $"GPUs {string.Join(", ", gpus)} reach each other's memory";
    }

    public ModelSpec Model { get; }

    /// <summary>Where weights are read; the runtime's.</summary>
    public Checkpoint Checkpoint => _checkpoint;

    /// <summary>config.json's contents, for those that need more than the shape (end tokens).</summary>
    public ModelConfig Config => _config;

    public string Description { get; }

    public long MemoryBytes { get; }

    /// <summary>Devices of the same name are as fast as this one: hardware, threads and type.</summary>
    public string SpeedModel { get; }

    /// <summary>Share of the machine's cores that it computes on; 0 on a GPU.</summary>
    public double ProcessorShare { get; }

    /// <summary>What it measured, now or earlier; null before that.</summary>
    public DeviceSpeed? Speed { get; set; }

    public ImmutableArray<WeightSlice> Weights => _engines.Weights.Held;

    public Task<IStageEngine> PrepareAsync(
        PreparationOrder order, ISliceFetcher fetcher, IProgress<LoadProgress> progress, CancellationToken cancel) =>
        Task.Factory.StartNew(
            () => _engines.PrepareAsync(order, fetcher, progress, cancel),
            cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap();

    public ITransferBlock? OpenWeights(WeightSlice slice) => _engines.Weights.Open(slice);

    public ITransferBlock? OpenPages(PageRun run) => _engines.OpenPages(run);

    public Task<SourceRates> ProbeAsync(SliceRequest peer, ISliceFetcher fetcher, CancellationToken cancel) =>
        Task.Factory.StartNew(
            () => _engines.ProbeAsync(peer, fetcher, cancel),
            cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap();

    public DeviceSpeed? MeasureSpeed()
    {
        var speed = SpeedProbe.Measure(_device, Model.WeightType, SpeedModel);
        _timeline?.Reached("measuring the device");
        return speed;
    }

    public void Trim() => _engines.Weights.Trim();

    /// <summary>From the model folder, on the caller's thread.</summary>
    internal TorchStageEngine Load(
        StageAssignment assignment, IProgress<LoadProgress>? progress, CancellationToken cancel,
        bool usePlainOperations = false) =>
        _engines.Load(assignment, progress, cancel, usePlainOperations);

    public void Dispose()
    {
        _engines.Dispose();
        _checkpoint.Dispose();
    }

    private static string NameOf(string folder) =>
        Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));

    private string Fingerprint(string folder)
    {
        var config = SHA256.HashData(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        var both = Encoding.ASCII.GetBytes(Convert.ToHexStringLower(config) + _checkpoint.Fingerprint);
        return Convert.ToHexStringLower(SHA256.HashData(both))[..32];
    }
}
