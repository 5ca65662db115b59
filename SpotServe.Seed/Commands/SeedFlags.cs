using System.CommandLine;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Planning;
using SpotServe.Seed.Hosting;

namespace SpotServe.Seed.Commands;

/// <summary>Options that the one-command cluster and `serve` share.</summary>
internal sealed class SeedFlags
{
    /// <summary>Environment variable with the connection string.</summary>
    public const string DatabaseVariable = "SPOTSERVE_DATABASE";

    /// <summary>What telemetry calls this program.</summary>
    public const string ServiceName = "spotserve-seed";

    private const int SequencesDefault = 64;
    private const int StepTokensDefault = 512;

    public Option<string?> Model { get; } = new("--model")
    {
        Description = "Hugging Face model folder (default: the bundled tinystories-4m).",
        HelpName = "DIR",
    };

    public Option<string?> Layout { get; } = new("--layout")
    {
        Description = "Replicas, pipeline stages and tensor ranks to serve with (default: the planner picks).",
        HelpName = "D,P,M",
    };

    public Option<int> Nodes { get; } = new("--nodes")
    {
        Description = "Node processes to start, or to wait for.",
        DefaultValueFactory = _ => 4,
    };

    public Option<int> Port { get; } = new("--port")
    {
        Description = "HTTP port; 0 picks a free one.",
        DefaultValueFactory = _ => 8080,
    };

    public Option<string?> Data { get; } = new("--data")
    {
        Description = "Folder for the journal (default: a folder of this user's, one for each HTTP port).",
        HelpName = "DIR",
    };

    public Option<string?> Database { get; } = new("--database")
    {
        Description = "PostgreSQL connection string for the journal (default: a SQLite file in --data). Everybody on " +
            $"this machine can read a command line: give a password in --database-file, {DatabaseVariable} or " +
            "PGPASSWORD.",
        HelpName = "CONNECTION",
    };

    public Option<string?> DatabaseFile { get; } = new("--database-file")
    {
        Description = "File with the connection string, on its first line.",
        HelpName = "FILE",
    };

    public Option<int> SequencesMax { get; } = new("--sequences-max")
    {
        Description = "Sequences that a replica runs at once, 1 to 1024.",
        DefaultValueFactory = _ => SequencesDefault,
    };

    public Option<int?> StepTokensMax { get; } = new("--step-tokens")
    {
        Description = "Tokens of one engine step, prompts and generated ones together, 16 to 65536 (default: 512, or "
            + "the sequences if they are more). A prompt is cut at three quarters of it: GPUs are quicker with 2048.",
        HelpName = "N",
    };

    public Option<string> PrefixCache { get; } = new("--prefix-cache")
    {
        Description = "on: what prompts have in common at their beginning is computed once; off: each is "
            + "computed whole.",
        DefaultValueFactory = _ => "on",
    };

    public Option<int> OpenRequestsMax { get; } = new("--open-requests-max")
    {
        Description = "Accepted and unfinished requests; beyond it clients get 429. 1 to 65536.",
        DefaultValueFactory = _ => 1024,
    };

    public Option<bool> Verbose { get; } = new("--verbose", "-v")
    {
        Description = "Tell all that the planner does: epochs, positions, devices.",
    };

    public Option<string?> Record { get; } = new("--record")
    {
        Description = "Write what happens to the cluster into this file: machines, requests with their lengths (no "
            + "texts), step times, plans. simulate --replay plays it.",
        HelpName = "FILE",
    };

    private Option<string?> Telemetry { get; } = TelemetryFlag.Create();

    private LogFlags Log { get; } = new();

    private PlannerFlags Planner { get; } = new();

    private FollowFlags Follow { get; } = new();

    private HttpAccessFlags HttpAccess { get; } = new();

    public void AddTo(Command command)
    {
        command.Options.Add(Model);
        command.Options.Add(Layout);
        command.Options.Add(Nodes);
        command.Options.Add(Port);
        command.Options.Add(Data);
        command.Options.Add(Database);
        command.Options.Add(DatabaseFile);
        command.Options.Add(SequencesMax);
        command.Options.Add(StepTokensMax);
        command.Options.Add(PrefixCache);
        command.Options.Add(OpenRequestsMax);
        command.Options.Add(Verbose);
        command.Options.Add(Record);
        command.Options.Add(Telemetry);
        foreach (var option in Log.All) command.Options.Add(option);
        Planner.AddTo(command);
        Follow.AddTo(command);
        HttpAccess.AddTo(command);
    }

    /// <summary>Checks everything that can be checked before a process or port is touched.</summary>
    /// <param name="devicesPerNode">Devices that each node brings.</param>
    /// <exception cref="UsageException">An option is out of range or the layout cannot be.</exception>
    public SeedOptions Read(ParseResult parsed, string host, int clusterPort, int devicesPerNode)
    {
        var port = parsed.GetValue(Port);
        RequireRange("--port", port, 0, 65_535);
        var nodes = parsed.GetValue(Nodes);
        RequireRange("--nodes", nodes, 1, 256);
        var sequences = parsed.GetValue(SequencesMax);
        RequireRange("--sequences-max", sequences, 1, 1024);
        var stepTokens = parsed.GetValue(StepTokensMax) ?? Math.Max(StepTokensDefault, sequences);
        RequireRange("--step-tokens", stepTokens, Math.Max(16, sequences), 65_536);
        var open = parsed.GetValue(OpenRequestsMax);
        RequireRange("--open-requests-max", open, 1, 65_536);
        var model = ServedModel.Open(parsed.GetValue(Model) ?? BundledModel());
        var data = parsed.GetValue(Data) ?? Path.Combine(
            Environment.GetFolderPath(
                Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.Create),
            "spotserve", $"port-{port}");
        return new SeedOptions
        {
            Model = model,
            Host = host,
            HttpPort = port,
            ClusterPort = clusterPort,
            DevicesExpected = nodes * devicesPerNode,
            Layout = ReadLayout(parsed.GetValue(Layout), model, nodes * devicesPerNode, sequences),
            DataFolder = Path.GetFullPath(data),
            Verbose = parsed.GetValue(Verbose),
            Log = Log.Read(parsed),
            Record = parsed.GetValue(Record) is { } record ? Path.GetFullPath(record) : null,
            Telemetry = TelemetryFlag.Read(parsed.GetValue(Telemetry)),
            Database = ReadDatabase(parsed),
            SequencesMax = sequences,
            StepTokensMax = stepTokens,
            KeepsPrefixes = ReadSwitch("--prefix-cache", parsed.GetValue(PrefixCache)!),
            OpenRequestsMax = open,
            Migration = Planner.ReadMigration(parsed),
            Objective = Planner.ReadObjective(parsed),
            Rates = Planner.ReadRates(parsed),
            Fleet = Planner.ReadFleet(parsed),
            Follow = Follow.Read(parsed),
            LoadWindow = Follow.ReadWindow(parsed),
            HttpAccess = HttpAccess.Read(parsed),
        };
    }

    private string? ReadDatabase(ParseResult parsed)
    {
        if (parsed.GetValue(Database) is { } stated) return stated;
        if (parsed.GetValue(DatabaseFile) is { } file)
        {
            return TextFile.ReadFirstLine("--database-file", file) is { Length: > 0 } line
                ? line
                : throw new UsageException($"--database-file {file} has no connection string on its first line.");
        }

        return Environment.GetEnvironmentVariable(DatabaseVariable) is { Length: > 0 } value ? value : null;
    }

    private static bool ReadSwitch(string option, string value) => value switch
    {
        "on" => true,
        "off" => false,
        _ => throw new UsageException($"{option} is {value}; it must be on or off."),
    };

    public static void RequireRange(string option, int value, int min, int max)
    {
        if (value < min || value > max) throw new UsageException($"{option} is {value}; it must be {min} to {max}.");
    }

    private static LayoutDegrees? ReadLayout(string? text, ServedModel model, int devices, int sequences)
    {
        if (text is null) return null;
        LayoutDegrees wanted;
        try
        {
            wanted = LayoutConstraints.Parse(text, sequences);
        }
        catch (FormatException error)
        {
            throw new UsageException(error.Message);
        }

        return LayoutConstraints.Violation(wanted, model.LayerCount, model.HeadCount, devices) is { } violation
            ? throw new UsageException(violation)
            : wanted;
    }

    public static string BundledModel() => Path.Combine(AppContext.BaseDirectory, "models", "tinystories-4m");
}
