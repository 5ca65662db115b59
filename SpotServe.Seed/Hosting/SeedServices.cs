using System.Net;
using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Hosting;
using Akka.Remote.Hosting;
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
using SpotServe.Seed.Narration;
using SpotServe.Seed.Recorder;
using SpotServe.Seed.Templating;
using SpotServe.Seed.Tokenization;

namespace SpotServe.Seed.Hosting;

/// <summary>What a control node is made of: HTTP, dashboard, control actors, and what stands between them.</summary>
internal static class SeedServices
{
    /// <summary>Not started yet. Its services own the actor system.</summary>
    /// <exception cref="UsageException">The model's tokenizer or the journal cannot be used.</exception>
    public static WebApplication Build(
        SeedOptions options,
        PlannerOptions planner,
        ClusterBoard board,
        JournalHealth health,
        ClusterRecorder? recorder)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions
        {
            // The dashboard's files lie beside the program, wherever it was started.
            ApplicationName = typeof(SeedServices).Assembly.GetName().Name,
            ContentRootPath = AppContext.BaseDirectory,
        });
        builder.WebHost.UseStaticWebAssets();
        builder.Logging.ClearProviders();
        // The provider knows which area logs from which level on.
        builder.Logging.SetMinimumLevel(LogLevel.Trace);
        builder.Services.AddSingleton<ILoggerProvider>(
            new FileLoggerProvider(Path.Combine(options.LogFolder, "seed.log"), options.Log, TimeProvider.System));
        var address = ListeningPorts.Resolve(options.Host);
        // A token's bytes are sent on the thread that has them. Else each would be passed to another thread of the
        // pool, which costs more than to send them; nothing that handles a request holds its thread up.
        builder.WebHost.UseSockets(sockets => sockets.UnsafePreferInlineScheduling = true);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(address, options.HttpPort));
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
            options.HttpAccess with { IsLoopback = IPAddress.IsLoopback(address) });
        builder.Services.AddDashboard(options.Beside?.Names ?? new NodeNames());
        var app = builder.Build();
        app.UseCompletionEdge();
        app.UseDashboard();
        app.MapCompletionApi();
        app.MapDashboard();
        return app;
    }

    /// <summary>What of the command line the planner goes by.</summary>
    public static PlannerOptions PlannerOf(SeedOptions options) => new()
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
            .AddSetup(new RemotingSetup(options.ClusterAccess.Identity) { Listener = options.Beside?.ClusterSocket })
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

    /// <summary>The command decides when the host stops, not the host's own signal handlers.</summary>
    private sealed class CommandLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
