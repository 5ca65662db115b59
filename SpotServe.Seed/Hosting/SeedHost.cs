using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Hosting;
using Akka.Remote.Hosting;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Metrics;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Remoting;
using SpotServe.Actors.Requests;
using SpotServe.Actors.Serialization;
using SpotServe.Seed.Api;
using SpotServe.Seed.Dashboard;
using SpotServe.Seed.Dashboard.Live;
using SpotServe.Seed.Fleet;
using SpotServe.Seed.Narration;
using SpotServe.Seed.Recorder;
using SpotServe.Seed.Templating;
using SpotServe.Seed.Tokenization;

namespace SpotServe.Seed.Hosting;

/// <summary>One control node: HTTP in front, the control actors behind. Started whole or not at all.</summary>
internal sealed class SeedHost : IAsyncDisposable
{
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(4);
    private readonly WebApplication _app;
    private readonly TaskCompletionSource<string> _cannotServe =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly FileStream _dataLock;
    private readonly ClusterRecorder? _recorder;

    private SeedHost(
        WebApplication app,
        FileStream dataLock,
        ClusterRecorder? recorder,
        ClusterBoard board,
        JournalHealth health,
        Akka.Cluster.Cluster cluster)
    {
        Journal = health;
        _app = app;
        _dataLock = dataLock;
        _recorder = recorder;
        Board = board;
        Names = app.Services.GetRequiredService<NodeNames>();
        Watch = app.Services.GetRequiredService<ClusterWatch>();
        LocalNodes = app.Services.GetRequiredService<LocalNodes>();
        Operator = app.Services.GetRequiredService<IClusterOperator>();
        ClusterAddress = cluster.SelfAddress;
        Ended = cluster.System.WhenTerminated;
        HttpAddress = new Uri(app.Urls.First());
        board.Changed += OnView;
        if (board.View is { } view) OnView(view);
    }

    public ClusterBoard Board { get; }

    /// <summary>What people call the nodes.</summary>
    public NodeNames Names { get; }

    /// <summary>The cluster as people are shown it.</summary>
    public ClusterWatch Watch { get; }

    /// <summary>What an operator can ask of the cluster.</summary>
    public IClusterOperator Operator { get; }

    /// <summary>Told of the fleet, when this process has one.</summary>
    public LocalNodes LocalNodes { get; }

    /// <summary>Tells when the journal takes no writes, or has entries that cannot be read.</summary>
    public JournalHealth Journal { get; }

    /// <summary>Where HTTP listens; names the port that was picked when 0 was asked for.</summary>
    public Uri HttpAddress { get; }

    /// <summary>What nodes are given as their seed.</summary>
    public Address ClusterAddress { get; }

    /// <summary>Completes when this control node runs no more, asked to or because it was given up.</summary>
    public Task Ended { get; }

    /// <summary>Completes with one line for the user when the model can never be served.</summary>
    public Task<string> CannotServe => _cannotServe.Task;

    /// <exception cref="UsageException">A port is taken, or the data folder or tokenizer cannot be used.</exception>
    public static async Task<SeedHost> StartAsync(SeedOptions options, CancellationToken cancel)
    {
        if (IsTaken(options.Host, options.HttpPort) is { } httpTaken)
            throw IsElsewhere(options, httpTaken) ?? PortTaken(options, httpTaken);
        if (IsTaken(options.Host, options.ClusterPort) is { } clusterTaken)
        {
            throw ClusterPortTaken(options, clusterTaken.Message);
        }

        var board = new ClusterBoard();
        var health = new JournalHealth();
        var dataLock = LockData(options);
        var planner = PlannerOf(options);
        var recorder = options.Record is { } file
            ? ClusterRecorder.Start(file, planner, TimeProvider.System, Console.Error.WriteLine)
            : null;
        if (recorder is not null) board.Changed += recorder.OnView;
        var app = Build(options, planner, board, health, recorder);
        try
        {
            await app.StartAsync(cancel);
        }
        catch (Exception error) when (StartFailure(options, error) is { } failure)
        {
            await app.DisposeAsync();
            await dataLock.DisposeAsync();
            if (recorder is not null) await recorder.DisposeAsync();
            throw failure;
        }

        var system = app.Services.GetRequiredService<ActorSystem>();
        var cluster = Akka.Cluster.Cluster.Get(system);
        if (options.Seeds.Count == 0) cluster.Join(cluster.SelfAddress);
        return new SeedHost(app, dataLock, recorder, board, health, cluster);
    }

    public async ValueTask DisposeAsync()
    {
        Board.Changed -= OnView;
        using var limit = new CancellationTokenSource(StopMax);
        try
        {
            await _app.StopAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            // The process ends now; the journal is consistent whenever it is cut.
        }

        if (_recorder is { } recorder)
        {
            Board.Changed -= recorder.OnView;
            await recorder.DisposeAsync();
        }

        await _dataLock.DisposeAsync();
    }

    private void OnView(ClusterProtocol.PlannerView view)
    {
        if (view.Phase == PlannerPhase.CannotServe) _cannotServe.TrySetResult(view.StatusLine);
    }

    /// <summary>
    /// Why a port cannot be had; null when it can. Kestrel and Akka find out too late: by then the logs and the journal
    /// of the one that has it are open.
    /// </summary>
    private static SocketException? IsTaken(string host, int port)
    {
        using var probe = new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            probe.Bind(new IPEndPoint(Resolve(host), port));
            return null;
        }
        catch (SocketException error)
        {
            return error;
        }
    }

    /// <summary>No port can be had on another machine's address, so none is to be looked for.</summary>
    private static UsageException? IsElsewhere(SeedOptions options, SocketException error) =>
        error.SocketErrorCode != SocketError.AddressNotAvailable ? null : new UsageException(
            $"--host {options.Host} is no address of this machine. Give one that it has (ip address lists them).");

    /// <summary>Another program may have taken a port between the first look and the real one.</summary>
    private static UsageException? StartFailure(SeedOptions options, Exception error) => error switch
    {
        IOException => PortTaken(options, error),
        _ when TransportFailure.In(error) is { } why => ClusterPortTaken(options, why),
        _ => null,
    };

    private static UsageException ClusterPortTaken(SeedOptions options, string why) => new(
        $"The control plane cannot listen on {options.Host}:{options.ClusterPort}: {why.TrimEnd('.')}. " +
        "Stop the program that has the port, or choose another with --cluster-port.");

    private static UsageException PortTaken(SeedOptions options, Exception error) => new(
        $"Cannot listen on http://{options.Host}:{options.HttpPort}: {error.Message.TrimEnd('.')}. " +
        "Stop the program that has the port, or choose another with --port.");

    /// <summary>
    /// Two planners on one journal would decide the same epochs. The system drops the lock with the process.
    /// </summary>
    private static FileStream LockData(SeedOptions options)
    {
        try
        {
            PrivateFiles.CreateFolder(options.LogFolder);
            return PrivateFiles.Open(
                Path.Combine(options.DataFolder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UsageException(
                $"Cannot use the data folder {options.DataFolder}: {error.Message.TrimEnd('.')}. " +
                "If another SpotServe uses it, stop that one; or choose another folder with --data.");
        }
    }

    private static WebApplication Build(
        SeedOptions options,
        PlannerOptions planner,
        ClusterBoard board,
        JournalHealth health,
        ClusterRecorder? recorder)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions
        {
            // The dashboard's files lie beside the program, wherever it was started.
            ApplicationName = typeof(SeedHost).Assembly.GetName().Name,
            ContentRootPath = AppContext.BaseDirectory,
        });
        builder.WebHost.UseStaticWebAssets();
        builder.Logging.ClearProviders();
        // The provider knows which area logs from which level on.
        builder.Logging.SetMinimumLevel(LogLevel.Trace);
        builder.Services.AddSingleton<ILoggerProvider>(
            new FileLoggerProvider(Path.Combine(options.LogFolder, "seed.log"), options.Log, TimeProvider.System));
        // A token's bytes are sent on the thread that has them. Else each would be passed to another thread of the
        // pool, which costs more than to send them; nothing that handles a request holds its thread up.
        builder.WebHost.UseSockets(sockets => sockets.UnsafePreferInlineScheduling = true);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(Resolve(options.Host), options.HttpPort));
        builder.Services.AddSingleton<IHostLifetime, CommandLifetime>();
        var tokenizer = TokenizerLoader.Load(options.Model.Folder);
        var served = options.Model;
        var template = ChatTemplate.Open(served.Folder);
        var model = new CompletionModel(served.Name, tokenizer, served.Defaults) { ChatTemplate = template };
        builder.Services.AddSingleton(model with { VocabularySize = served.VocabularySize });
        var requests = new RequestOptions
        {
            Journal = health,
            StopSearch = request => new StopTokenSearch(tokenizer, request),
        };
        var gateway = new GatewayOptions
        {
            OpenRequestsMax = options.OpenRequestsMax,
            WaitingTokensMax = options.WaitingTokensMax,
            Journal = health,
            LoadWindow = options.LoadWindow,
        };
        var journal = OpenJournal(options);
        AddCluster(builder.Services, options, planner, gateway, requests, journal, board);
        AddClients(builder.Services, gateway, journal, board, recorder);
        builder.Services.AddCompletionApi(
            new ApiOptions
            {
                OpenResponsesMax = options.OpenRequestsMax,
                RequestTimeout = options.RequestTimeout,
            },
            options.HttpAccess with { IsLoopback = IPAddress.IsLoopback(Resolve(options.Host)) });
        builder.Services.AddDashboard();
        var app = builder.Build();
        app.UseCompletionEdge();
        app.UseDashboard();
        app.MapCompletionApi();
        app.MapDashboard();
        return app;
    }

    private static PlannerOptions PlannerOf(SeedOptions options) => new()
    {
        Wanted = options.Layout,
        DevicesExpected = options.DevicesExpected,
        SecretMark = options.ClusterAccess.Secret?.Mark,
        RequiresEncryptedData = options.ClusterAccess.EncryptsData,
        SequencesMax = options.SequencesMax,
        StepTokensMax = options.StepTokensMax,
        KeepsPrefixes = options.KeepsPrefixes,
        Mode = options.Migration,
        Objective = options.Objective,
        Fleet = options.Fleet,
        Follow = options.Follow,
        Stated = options.Rates,
    };

    private static void AddCluster(
        IServiceCollection services,
        SeedOptions options,
        PlannerOptions planner,
        GatewayOptions gateway,
        RequestOptions requests,
        JournalOptions journal,
        ClusterBoard board)
    {
        var metrics = MetricsHosting.NewClusterMetrics(TimeProvider.System);
        services.AddSingleton(metrics);
        services.AddAkka(ClusterSettings.SystemName, (akka, provider) => (options.Machines is { } machines
                ? akka.AddFleet(machines.Limits, machines.Cloud, requests.Journal, TimeProvider.System)
                : akka)
            .AddHocon(ClusterSettings.Control(), HoconAddMode.Prepend)
            .AddActorLog(provider, options.Log.Levels)
            .AddSetup(new RemotingSetup(options.ClusterAccess.Identity))
            .WithRemoting(options.Host, options.ClusterPort)
            .WithClustering(new ClusterOptions
            {
                Roles = [MemberRoles.Control],
                SeedNodes = [.. options.Seeds.Select(seed => $"akka.tcp://{ClusterSettings.SystemName}@{seed}")],
            })
            .AddSpotServeSerialization()
            .AddSpotServePersistence(journal)
            .AddMetrics(metrics, TimeProvider.System)
            .AddControl(
                planner, gateway, requests, new RequestJournal(journal), new JournalProbe(journal), board,
                TimeProvider.System));
        services.AddSingleton(board);
    }

    /// <summary>The cluster as HTTP has it, recorded where that was asked for.</summary>
    private static void AddClients(
        IServiceCollection services,
        GatewayOptions gateway,
        JournalOptions journal,
        ClusterBoard board,
        ClusterRecorder? recorder)
    {
        services.AddSingleton<IGenerationClient>(provider =>
        {
            IGenerationClient client = new GenerationClient(
                new Lazy<ControlActors>(() =>
                {
                    var registry = provider.GetRequiredService<ActorRegistry>();
                    return new ControlActors(
                        provider.GetRequiredService<ActorSystem>(),
                        registry.Get<GatewayKey>(),
                        registry.Get<RequestsKey>());
                }),
                new RequestJournal(journal),
                board,
                gateway,
                TimeProvider.System);
            return recorder is null ? client : new RecordedGenerationClient(client, recorder);
        });
        services.AddSingleton<IClusterOperator>(provider =>
        {
            var asked = new ClusterOperator(new Lazy<IActorRef>(
                () => provider.GetRequiredService<ActorRegistry>().Get<PlannerKey>()));
            return recorder is null ? asked : new RecordedOperator(asked, recorder);
        });
        services.AddSingleton<IFleetOperator>(provider => new FleetOperator(new Lazy<IActorRef?>(
            () => provider.GetRequiredService<ActorRegistry>().TryGet<FleetKey>(out var fleet) ? fleet : null)));
    }

    private static JournalOptions OpenJournal(SeedOptions options)
    {
        try
        {
            var journal = options.Database is null
                ? JournalOptions.Sqlite(options.DataFolder)
                : JournalOptions.Postgres(options.Database);
            journal.Prepare();
            return journal;
        }
        catch (Exception error) when (error is InvalidOperationException or ArgumentException)
        {
            throw new UsageException(error.Message);
        }
    }

    private static IPAddress Resolve(string host)
    {
        if (IPAddress.TryParse(host, out var address)) return address;
        try
        {
            return Dns.GetHostAddresses(host).FirstOrDefault()
                ?? throw new UsageException($"--host {host} has no address.");
        }
        catch (SocketException error)
        {
            throw new UsageException($"--host {host} cannot be resolved: {error.Message}");
        }
    }

    /// <summary>The command decides when the host stops, not the host's own signal handlers.</summary>
    private sealed class CommandLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
