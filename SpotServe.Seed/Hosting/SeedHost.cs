using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Persistence;
using SpotServe.Seed.Dashboard.Live;
using SpotServe.Seed.Fleet;
using SpotServe.Seed.Narration;
using SpotServe.Seed.Recorder;

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
        ListeningPorts.Check(options);
        var board = new ClusterBoard();
        var health = new JournalHealth();
        var dataLock = LockData(options);
        options.Beside?.MayBegin();
        var planner = SeedServices.PlannerOf(options);
        var recorder = options.Record is { } file
            ? ClusterRecorder.Start(file, planner, TimeProvider.System, Console.Error.WriteLine)
            : null;
        if (recorder is not null) board.Changed += recorder.OnView;
        var app = SeedServices.Build(options, planner, board, health, recorder);
        try
        {
            await app.StartAsync(cancel);
        }
        catch (Exception error) when (ListeningPorts.Failure(options, error) is { } failure)
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
}
