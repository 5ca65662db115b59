using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Remoting;
using SpotServe.Seed.Fleet;
using SpotServe.Seed.Hosting;
using SpotServe.Seed.Narration;

namespace SpotServe.Seed.Commands;

/// <summary>No verb: a seed in this process and node processes on loopback, all of which end together.</summary>
internal static class LocalCommand
{
    private const string Loopback = "127.0.0.1";
    private const string NoFleet = "none";

    private static readonly Option<string> Device = new(EngineValues.DeviceName)
    {
        Description = "Device of each node: cpu, cuda or cuda:N.",
        DefaultValueFactory = _ => "cpu",
    };

    private static readonly Option<string> Dtype = new(EngineValues.DtypeName)
    {
        Description = "Type of weights and cache: auto (float32 on the CPU), float32, float16 or bfloat16.",
        DefaultValueFactory = _ => "auto",
    };

    private static readonly Option<string> Numerics = new(EngineValues.NumericsName)
    {
        Description = "What nodes on a GPU promise of their bits: invariant (the same in every batch and layout) or "
            + "fast (many sequences or prompts at once share products).",
        DefaultValueFactory = _ => "invariant",
    };

    private static readonly Option<int?> Threads = new("--threads")
    {
        Description = $"Compute threads of each node, 1 to {LocalFleetOptions.ThreadsMax}; the machine's cores shared "
            + "out when not given.",
    };

    private static readonly Option<double?> Chaos = new("--spot-chaos")
    {
        Description = "Take a node away every so many seconds, in turn with notice and without, and start a new one.",
        HelpName = "SECONDS",
    };

    private static readonly Option<string> Fleet = new("--fleet")
    {
        Description = "local: nodes that go are replaced; none: they are not.",
        HelpName = "local|none",
        DefaultValueFactory = _ => "local",
    };

    private static readonly Option<bool> DataTls = new(AccessFlags.DataTlsName)
    {
        Description = "Encrypt what the node processes send each other, too (TLS 1.3).",
    };

    /// <returns>Those of the options that `serve` has, too.</returns>
    public static SeedFlags Configure(RootCommand root)
    {
        var flags = new SeedFlags();
        flags.AddTo(root);
        root.Options.Add(Device);
        root.Options.Add(Dtype);
        root.Options.Add(Numerics);
        root.Options.Add(Threads);
        root.Options.Add(Chaos);
        root.Options.Add(Fleet);
        root.Options.Add(DataTls);
        root.SetAction((parsed, cancel) => RootCommands.Serving(() => RunAsync(flags, parsed, cancel), cancel));
        return flags;
    }

    /// <summary>Checks all that was given, also what only the nodes use: nothing has been started yet.</summary>
    /// <exception cref="UsageException">An option is out of range.</exception>
    public static SeedOptions Read(SeedFlags flags, ParseResult parsed)
    {
        // All nodes run on the device that is named.
        EngineValues.Device(parsed.GetValue(Device)!, count: 1, Gpus.Count);
        EngineValues.Dtype(parsed.GetValue(Dtype)!);
        EngineValues.Numerics(parsed.GetValue(Numerics)!);
        EngineValues.OneOf(Fleet.Name, parsed.GetValue(Fleet)!, "local", NoFleet);
        _ = ReadChaos(parsed);
        _ = ReadThreads(parsed);
        var options = flags.Read(parsed, Loopback, clusterPort: 0, devicesPerNode: 1);
        return options.DevicesExpected <= LocalFleetOptions.NodesMax
            ? options
            : throw new UsageException(
                $"--nodes is {options.DevicesExpected}; one machine runs at most {LocalFleetOptions.NodesMax}.");
    }

    private static async Task<int> RunAsync(SeedFlags flags, ParseResult parsed, CancellationToken cancel)
    {
        var options = Read(flags, parsed);
        Terminal.Speak(options.Log.Format);
        var chaosPeriod = ReadChaos(parsed);
        var cloud = new LocalProcesses(LocalProcesses.LaunchDelay, TimeProvider.System);
        options = options with { Machines = ReadFleet(parsed, options, cloud) };
        var program = FindNodeProgram();
        var secret = Convert.ToHexString(RandomNumberGenerator.GetBytes(32));
        Console.WriteLine($"SpotServe: {options.Model.Name} on {options.DevicesExpected} node processes");
        var access = ClusterAccess.Of(new ClusterSecret(secret)) with { EncryptsData = parsed.GetValue(DataTls) };
        using var telemetry = TelemetryExport.Start(options.Telemetry, SeedFlags.ServiceName);
        using var logs = new NodeLogs(options.LogFolder, options.Log.Format, TimeProvider.System);
        var fleetOptions = new LocalFleetOptions
        {
            Program = program,
            NodeCount = options.DevicesExpected,
            Threads = ReadThreads(parsed),
            Environment = new Dictionary<string, string> { [AccessSettings.SecretVariable] = secret },
        };
        var watch = new NodeWatch(options.DevicesExpected, logs, Console.Out, cancel);
        var fleet = new LocalFleet(fleetOptions, logs.Write, watch.OnExit);
        using var socket = ListenForNodes();
        var names = new NodeNames();
        var arguments = NodeArguments(parsed, options, (IPEndPoint)socket.LocalEndPoint!, fleetOptions);
        var launch = new LocalLaunch(fleet, arguments, watch.Expect, names.Learn);
        // Nodes take as long to start as this process: neither waits for the other.
        var beside = new NodesBeside(socket, names, () => BeginNodes(cloud, launch, options));
        var seed = await StartSeedAsync(
            options with { ClusterAccess = access, Beside = beside }, fleet, cancel);
        using var narrator = Narrators.Begin(seed, options.Verbose, Console.Out);
        var ready = new ReadyLine(seed, Console.Out);
        Console.WriteLine($"  seed {seed.ClusterAddress.Host}:{seed.ClusterAddress.Port}; logs in {options.LogFolder}");
        var gaveUp = false;
        try
        {
            seed.LocalNodes.Attach(fleet);
            using var chaosEnd = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            var chaos = chaosPeriod is { } period ? RunChaosAsync(seed, period, chaosEnd.Token) : Task.CompletedTask;
            await Task.WhenAny(
                ServeCommand.WaitForStop(cancel),
                seed.CannotServe,
                watch.NoneLeftUnless(() => ready.IsPrinted),
                seed.Ended);
            await chaosEnd.CancelAsync();
            await chaos;
            gaveUp = seed.Ended.IsCompleted && !cancel.IsCancellationRequested;
        }
        finally
        {
            ready.Dispose();
            narrator.Dispose();
            Console.WriteLine("Stopping.");
            await Task.WhenAll(fleet.StopAsync(), seed.DisposeAsync().AsTask());
        }

        if (cancel.IsCancellationRequested) return 0;
        if (seed.CannotServe.IsCompletedSuccessfully) throw new UsageException(await seed.CannotServe);
        throw new UsageException(gaveUp ? ServeCommand.GaveUp : watch.LastWords());
    }

    /// <summary>From the first moment on, so that a node which is there before the control node waits in the queue of
    /// this socket instead of trying again later.</summary>
    private static Socket ListenForNodes()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen();
        return socket;
    }

    /// <summary>Nodes that have begun do not outlive a control node that cannot start.</summary>
    private static async Task<SeedHost> StartSeedAsync(
        SeedOptions options, LocalFleet fleet, CancellationToken cancel)
    {
        try
        {
            return await SeedHost.StartAsync(options, cancel);
        }
        catch
        {
            await fleet.KillAsync();
            throw;
        }
    }

    private static int? ReadThreads(ParseResult parsed)
    {
        if (parsed.GetValue(Threads) is not { } threads) return null;
        SeedFlags.RequireRange(Threads.Name, threads, 1, LocalFleetOptions.ThreadsMax);
        return threads;
    }

    private static TimeSpan? ReadChaos(ParseResult parsed)
    {
        if (parsed.GetValue(Chaos) is not { } seconds) return null;
        return seconds >= SpotChaos.PeriodMin.TotalSeconds && seconds <= TimeSpan.FromDays(1).TotalSeconds
            ? TimeSpan.FromSeconds(seconds)
            : throw new UsageException(string.Create(
                CultureInfo.InvariantCulture,
                $"--spot-chaos is {seconds}; it must be {SpotChaos.PeriodMin.TotalSeconds} to 86400 seconds."));
    }

    private static Task RunChaosAsync(SeedHost seed, TimeSpan period, CancellationToken cancel) => new SpotChaos(
        () => seed.Board.View is { Replicas.IsEmpty: false } view
            ? [.. view.Nodes.Where(node => !view.Leaving.ContainsKey(node.Node)).OrderBy(seed.Names.NumberOf)]
            : [],
        seed.LocalNodes,
        seed.Operator,
        TimeProvider.System,
        line => Console.WriteLine(seed.Names.InWords(line))).RunAsync(period, cancel);

    private static FleetSetup? ReadFleet(ParseResult parsed, SeedOptions options, LocalProcesses cloud) =>
        parsed.GetValue(Fleet) == NoFleet
            ? null
            // Processes of an earlier run are gone: this run is a cluster of its own.
            : new FleetSetup(cloud, LocalProcesses.Limits(
                $"local-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4))}",
                options.DevicesExpected, options.Fleet.Spares));

    private static void BeginNodes(LocalProcesses cloud, LocalLaunch launch, SeedOptions options)
    {
        try
        {
            cloud.Begin(launch, options.DevicesExpected);
        }
        catch (InvalidOperationException error)
        {
            throw new UsageException(error.Message);
        }
    }

    private static NodeProgram FindNodeProgram()
    {
        try
        {
            return NodeProgram.Locate(
                Environment.GetEnvironmentVariable(NodeProgram.Variable), AppContext.BaseDirectory);
        }
        catch (FileNotFoundException error)
        {
            throw new UsageException(error.Message);
        }
    }

    private static string[] NodeArguments(
        ParseResult parsed, SeedOptions options, IPEndPoint seed, LocalFleetOptions fleet) =>
    [
        "--seed", $"{seed}",
        "--model", options.Model.Folder,
        "--host", Loopback,
        "--cloud", "none",   // The seed says when a node goes; a notice for the machine is the seed's own.
        EngineValues.DeviceName, parsed.GetValue(Device)!,
        "--devices", "1",
        EngineValues.DtypeName, parsed.GetValue(Dtype)!,
        EngineValues.NumericsName, parsed.GetValue(Numerics)!,
        "--memory", MemoryPerNode(options).ToString("0.###", CultureInfo.InvariantCulture),
        "--threads", fleet.ThreadsPerNode.ToString(CultureInfo.InvariantCulture),
        .. parsed.GetValue(DataTls) ? (string[])[AccessFlags.DataTlsName] : [],
        .. options.Telemetry is { } collector ? (string[])[TelemetryFlag.Name, collector.AbsoluteUri] : [],
        .. LogFlags.Arguments(options.Log),
    ];

    /// <summary>
    /// Gigabytes: what the model can make use of, and no more than the node's share of four fifths of the memory that
    /// is free now. What other programs use is theirs.
    /// </summary>
    private static double MemoryPerNode(SeedOptions options)
    {
        var share = FreeMemory.Read() * 0.8 / options.DevicesExpected;
        var use = UsefulMemory.Of(options.Model.Folder, options.SequencesMax) ?? share;
        return Math.Max(0.001, Math.Min(share, use) / 1e9);
    }
}
