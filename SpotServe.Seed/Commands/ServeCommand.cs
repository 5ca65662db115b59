using System.CommandLine;
using Amazon.EC2;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Remoting;
using SpotServe.Seed.Fleet;
using SpotServe.Seed.Hosting;
using SpotServe.Seed.Narration;

namespace SpotServe.Seed.Commands;

/// <summary>`serve`: one control node, for nodes that are started elsewhere.</summary>
internal static class ServeCommand
{
    /// <summary>Said when the actor system ended and nobody had asked for it.</summary>
    public const string GaveUp =
        "This control node heard too few of the others and gave itself up, or they gave it up, so that no two " +
        "parts of the cluster plan at once. Start it again: it joins under its address.";

    private static readonly Option<string> Host = new("--host")
    {
        Description = "Address that clients and nodes reach this machine by.",
        DefaultValueFactory = _ => "127.0.0.1",
    };

    private static readonly Option<int> ClusterPort = new("--cluster-port")
    {
        Description = "Control-plane port that nodes are given as --seed HOST:PORT.",
        DefaultValueFactory = _ => 5110,
    };

    private static readonly Option<string[]> Seed = new("--seed")
    {
        Description = "All control nodes, this one too; give each of them on each (none: this is the only one).",
        HelpName = "HOST:PORT",
    };

    private static readonly Option<string> Fleet = new("--fleet")
    {
        Description = "Who starts and stops machines: none (nodes are started by hand), or ec2 or kubernetes, as "
            + "--fleet-file says.",
        HelpName = "none|ec2|kubernetes",
        DefaultValueFactory = _ => "none",
    };

    private static readonly Option<string?> FleetFile = new("--fleet-file")
    {
        Description = "JSON file that says which machines there may be, of which kinds and how many (docs/clouds.md).",
        HelpName = "FILE",
    };

    public static Command Create()
    {
        var command = new Command("serve", "Starts a control node: HTTP, planner, requests. Nodes join it.");
        var flags = new SeedFlags();
        flags.AddTo(command);
        command.Options.Add(Host);
        command.Options.Add(ClusterPort);
        command.Options.Add(Seed);
        command.Options.Add(Fleet);
        command.Options.Add(FleetFile);
        var access = new AccessFlags(
            "Run without a secret: whoever reaches the ports can do everything.",
            "Take only nodes that encrypt what they send each other: each is started with --data-tls, too.");
        foreach (var option in access.All) command.Options.Add(option);
        command.SetAction((parsed, cancel) => RootCommands.Serving(
            () => RunAsync(flags, access, parsed, cancel), cancel));
        return command;
    }

    private static ClusterAccess Access(AccessFlags flags, ParseResult parsed, string host)
    {
        try
        {
            return flags.Read(parsed) ?? OpenOn(host);
        }
        catch (ArgumentException error)
        {
            throw new UsageException(error.Message);
        }
    }

    /// <summary>Nothing was given: that will do where others cannot reach the ports.</summary>
    private static ClusterAccess OpenOn(string host) => ClusterAccess.IsLocal(host) ? ClusterAccess.Open
        : throw new UsageException(
            $"Without a secret everybody who reaches {host} could read prompts and take the cluster over. Set " +
            $"{AccessSettings.SecretVariable} to a text of your own, the same on every node (openssl rand -hex 32 " +
            "makes one), or give --secret-file FILE; --insecure starts without.");

    /// <summary>Which ports are open to whom.</summary>
    private static IEnumerable<string> Exposed(SeedHost seed, SeedOptions options)
    {
        var reach = ClusterAccess.IsLocal(options.Host) ? "this machine" : $"all who reach {options.Host}";
        yield return $"Open to {reach}:";
        yield return $"  HTTP {seed.HttpAddress.Port}: everybody; prompts, texts and /admin, not encrypted";
        yield return $"  control plane {seed.ClusterAddress.Port}: {options.ClusterAccess.Description}";
    }

    private static async Task<int> RunAsync(
        SeedFlags flags, AccessFlags access, ParseResult parsed, CancellationToken cancel)
    {
        var port = parsed.GetValue(ClusterPort);
        SeedFlags.RequireRange("--cluster-port", port, 0, 65_535);
        var host = Told(HostNames.Own("--host", parsed.GetValue(Host)!));
        var options = flags.Read(parsed, host, port, devicesPerNode: 1);
        options = options with
        {
            Seeds = ControlSeeds.Read(
                [.. (parsed.GetValue(Seed) ?? []).Select(seed => Told(HostNames.Peer("--seed", seed)))],
                $"{host}:{port}",
                options.Database),
            ClusterAccess = Access(access, parsed, host),
            Machines = ReadFleet(parsed, options),
        };
        Terminal.Speak(options.Log.Format);
        using var telemetry = TelemetryExport.Start(options.Telemetry, SeedFlags.ServiceName);
        await using var seed = await SeedHost.StartAsync(options, cancel);
        Console.WriteLine($"Serving {options.Model.Folder}; waiting for {options.DevicesExpected} device(s).");
        foreach (var line in Exposed(seed, options)) Console.WriteLine(line);
        Console.WriteLine(options.ClusterAccess.Identity is null
            ? "Start on each node, with --insecure:"
            : "Start on each node, with the same SPOTSERVE_SECRET:");
        var cluster = $"{seed.ClusterAddress.Host}:{seed.ClusterAddress.Port}";
        var seeds = options.Seeds.Count == 0 ? [cluster] : options.Seeds;
        var dataTls = options.ClusterAccess.EncryptsData ? $" {AccessFlags.DataTlsName}" : "";
        Console.WriteLine($"  SpotServe.Node --seed {string.Join(" --seed ", seeds)} --model DIR --host IP{dataTls}");
        using var narrator = Narrators.Begin(seed, options.Verbose, Console.Out);
        using var ready = new ReadyLine(seed, Console.Out);
        await Task.WhenAny(WaitForStop(cancel), seed.CannotServe, seed.Ended);
        if (cancel.IsCancellationRequested) return 0;
        if (seed.CannotServe.IsCompletedSuccessfully) throw new UsageException(await seed.CannotServe);
        throw new UsageException(GaveUp);
    }

    /// <summary>Every control node has the same fleet: the manager runs on one of them, and moves.</summary>
    private static FleetSetup? ReadFleet(ParseResult parsed, SeedOptions options)
    {
        switch (parsed.GetValue(Fleet))
        {
            case "none":
                return parsed.GetValue(FleetFile) is null
                    ? null
                    : throw new UsageException("--fleet-file needs --fleet ec2 or --fleet kubernetes.");
            case "ec2":
                var ec2 = Ec2Options.Read(RequiredFile(parsed));
                var client = new AmazonEC2Client(Ec2Cloud.Config(ec2));
                return new FleetSetup(
                    new Ec2Cloud(client, ec2, TimeProvider.System),
                    ec2.Limits(options.DevicesExpected, options.Fleet.Spares));
            case "kubernetes":
                var kubernetes = KubernetesOptions.Read(RequiredFile(parsed));
                return new FleetSetup(
                    kubernetes.Open(), kubernetes.Limits(options.DevicesExpected, options.Fleet.Spares));
            case var other:
                throw new UsageException($"--fleet is {other}; it must be none, ec2 or kubernetes.");
        }
    }

    private static string RequiredFile(ParseResult parsed) => parsed.GetValue(FleetFile)
        ?? throw new UsageException($"--fleet {parsed.GetValue(Fleet)} needs --fleet-file FILE.");

    private static string Told((string? Value, string? Refusal) read) =>
        read.Value ?? throw new UsageException(read.Refusal!);

    /// <summary>Completes when the user or the system asks the process to stop.</summary>
    public static async Task WaitForStop(CancellationToken cancel)
    {
        var stopped = new TaskCompletionSource();
        await using var registration = cancel.Register(stopped.SetResult);
        await stopped.Task;
    }
}
