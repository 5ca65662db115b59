using System.CommandLine;
using System.Globalization;
using System.Net;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Remoting;
using SpotServe.Node.Engine;
using SpotServe.Node.Hosting;

namespace SpotServe.Node.Commands;

/// <summary>Options of a node that joins a cluster, and their check.</summary>
internal sealed class NodeFlags
{
    private const string NoAccess =
        $"Set {AccessSettings.SecretVariable} to the cluster's secret, or give --secret-file FILE: a text of your " +
        "own, the same on every node (--insecure: the cluster has none).";

    private static readonly TimeSpan RejoinMaxMost = TimeSpan.FromDays(7);

    private const string CopyWeightsText =
        "Copy weights on the CPU also where the mapped file could be used: slower to load, but a model file that is "
        + "cut short later does not end the node.";

    private Option<string[]> Seed { get; } = new("--seed")
    {
        Description = "Control node to join; give each of them.",
        HelpName = "HOST:PORT",
    };

    private Option<string?> Model { get; } = new("--model")
    {
        Description = "Hugging Face model folder on this machine; the same model on every node.",
        HelpName = "DIR",
    };

    private Option<string> Host { get; } = new("--host")
    {
        Description = "IP address that the other machines reach this one by.",
        DefaultValueFactory = _ => "127.0.0.1",
    };

    private Option<int> Port { get; } = new("--port") { Description = "Control-plane port; 0 picks a free one." };

    private Option<int> DataPort { get; } = new("--data-port") { Description = "Data-plane port; 0 picks a free one." };

    private Option<string> Device { get; } = new(EngineValues.DeviceName)
    {
        Description = "cpu, cuda or cuda:N.",
        DefaultValueFactory = _ => "cpu",
    };

    private Option<int?> Devices { get; } = new("--devices")
    {
        Description = "Devices of this node: GPUs from the named one on, or engines that share the CPU "
            + "(default: all GPUs with --device cuda, else 1).",
    };

    private Option<int?> Threads { get; } = new("--threads") { Description = "CPU threads of each device (or all)." };

    private Option<string> Dtype { get; } = new(EngineValues.DtypeName)
    {
        Description = "auto (float32 on the CPU, the checkpoint's on a GPU), float32, float16 or bfloat16.",
        DefaultValueFactory = _ => "auto",
    };

    private Option<double?> Memory { get; } = new("--memory")
    {
        Description = "Gigabytes of device memory that each device may use (default: 90 % of it).",
        HelpName = "GB",
    };

    private Option<string?> TorchLib { get; } = new("--torch-lib")
    {
        Description = $"lib folder of an installed PyTorch to use (or {TorchNative.EnvironmentVariable}).",
        HelpName = "DIR",
    };

    private Option<string> NumericsName { get; } = new(EngineValues.NumericsName)
    {
        Description = NumericsNames.Help,
        DefaultValueFactory = _ => NumericsNames.Of(Numerics.Invariant),
    };

    private Option<bool> CopyWeights { get; } = new("--copy-weights") { Description = CopyWeightsText };

    private Option<string?> Telemetry { get; } = TelemetryFlag.Create();

    private DepartureFlags Departure { get; } = new();

    private MachineFlags Machine { get; } = new();

    private LogFlags Log { get; } = new();

    private AccessFlags Access { get; } = new(
        "Join a cluster that was started with --insecure, which has no secret.",
        "Encrypt what nodes send each other, too: prompts, pages, weights (TLS 1.3). On every node, or none.");

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])
            [
                Seed, Model, Host, Port, DataPort, Device, Devices, Threads, Dtype, Memory, TorchLib, NumericsName,
                CopyWeights, Telemetry, .. Departure.All, .. Machine.All, .. Log.All, .. Access.All,
            ])
        {
            command.Options.Add(option);
        }
    }

    private ClusterAccess ReadAccess(ParseResult parsed)
    {
        try
        {
            return Access.Read(parsed) ?? throw new UsageException(NoAccess);
        }
        catch (ArgumentException error)
        {
            throw new UsageException(error.Message);
        }
    }

    /// <exception cref="UsageException">An option is missing or out of range.</exception>
    public NodeOptions Read(ParseResult parsed)
    {
        var seeds = parsed.GetValue(Seed) ?? [];
        if (seeds.Length == 0)
        {
            throw new UsageException("No --seed HOST:PORT is given: name at least one control node.");
        }

        var model = parsed.GetValue(Model) ?? throw new UsageException("No --model DIR is given.");
        if (!IPAddress.TryParse(Told(HostNames.Own("--host", parsed.GetValue(Host)!)), out var host))
        {
            throw new UsageException($"--host {parsed.GetValue(Host)} is not an IP address.");
        }

        var device = parsed.GetValue(Device)!;
        var devices = EngineValues.Devices(device, parsed.GetValue(Devices), Gpus.Count);
        return new NodeOptions
        {
            Seeds = [.. seeds.Select(seed => Told(HostNames.Peer("--seed", seed)))],
            ModelFolder = model,
            Telemetry = TelemetryFlag.Read(parsed.GetValue(Telemetry)),
            Host = host,
            ClusterPort = InRange("--port", parsed.GetValue(Port), 0, 65_535),
            DataPort = InRange("--data-port", parsed.GetValue(DataPort), 0, 65_535),
            Device = EngineValues.Device(device, devices, Gpus.Count),
            DeviceCount = devices,
            Threads = parsed.GetValue(Threads) is { } threads ? InRange("--threads", threads, 1, 1024) : null,
            WeightType = ReadDtype(parsed.GetValue(Dtype)!),
            MemoryBytes = parsed.GetValue(Memory) is { } gigabytes ? ReadMemory(gigabytes) : null,
            TorchLib = parsed.GetValue(TorchLib),
            Numerics = ReadNumerics(parsed.GetValue(NumericsName)!),
            Grace = Seconds("--grace", parsed.GetValue(Departure.Grace), NodeDeparture.GraceMax),
            NoticeFile = ReadNoticeFile(parsed.GetValue(Departure.NoticeFile)),
            Cloud = Departure.ReadCloud(parsed),
            MetadataAddress = Departure.ReadMetadata(parsed),
            RejoinMax = Seconds("--rejoin-max", parsed.GetValue(Departure.RejoinMax), RejoinMaxMost),
            MapWeights = !parsed.GetValue(CopyWeights),
            Machine = Machine.Read(parsed),
            CacheFolder = Machine.ReadCache(parsed),
            Speed = Machine.ReadSpeed(parsed),
            Access = ReadAccess(parsed),
            Log = Log.Read(parsed),
        };
    }

    private static string Told((string? Value, string? Refusal) read) =>
        read.Value ?? throw new UsageException(read.Refusal!);

    private static int InRange(string option, int value, int min, int max) =>
        value >= min && value <= max
            ? value
            : throw new UsageException($"{option} is {value}; it must be {min} to {max}.");

    private static TimeSpan Seconds(string option, double value, TimeSpan most) =>
        value >= 0 && value <= most.TotalSeconds
            ? TimeSpan.FromSeconds(value)
            : throw new UsageException(string.Create(
                CultureInfo.InvariantCulture, $"{option} is {value}; it must be 0 to {most.TotalSeconds} seconds."));

    private static string? ReadNoticeFile(string? path)
    {
        if (path is null) return null;
        return File.Exists(path)
            ? throw new UsageException(
                $"--notice-file {path} is there already, which would mean that this machine goes now. Remove it.")
            : Path.GetFullPath(path);
    }

    private static long ReadMemory(double gigabytes) =>
        gigabytes is > 0 and <= 100_000
            ? (long)(gigabytes * 1e9)
            : throw new UsageException(string.Create(
                CultureInfo.InvariantCulture, $"--memory is {gigabytes}; it must be more than 0 gigabytes."));

    private static Numerics ReadNumerics(string text) => NumericsNames.Parse(EngineValues.Numerics(text))!.Value;

    private static ElementType? ReadDtype(string text) => EngineValues.Dtype(text) switch
    {
        "float32" => ElementType.Float32,
        "float16" => ElementType.Float16,
        "bfloat16" => ElementType.BFloat16,
        _ => null,
    };
}
