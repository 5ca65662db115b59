using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Hosting;
using Akka.Remote.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Serialization;
using SpotServe.Node.Engine;

namespace SpotServe.Node.Hosting;

/// <summary>One node process: its devices, its data plane, and the actors that own them.</summary>
internal sealed class NodeHost : IAsyncDisposable
{
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(3);
    private readonly IHost _host;
    private readonly DataPlaneNode _dataPlane;
    private readonly ImmutableArray<TorchDeviceRuntime> _runtimes;
    private readonly TaskCompletionSource<string?> _ended;

    private NodeHost(
        IHost host,
        DataPlaneNode dataPlane,
        ImmutableArray<TorchDeviceRuntime> runtimes,
        TaskCompletionSource<string?> ended)
    {
        _host = host;
        _dataPlane = dataPlane;
        _runtimes = runtimes;
        _ended = ended;
    }

    /// <exception cref="UsageException">A port is taken, or no control node answered in time.</exception>
    public static async Task<NodeHost> StartAsync(NodeOptions options, CancellationToken cancel)
    {
        ImmutableArray<TorchDeviceRuntime> runtimes = [.. Enumerable.Range(0, options.DeviceCount).Select(
            index => OpenDevice(options, index))];
        var dataPlane = Listen(options);
        var ended = new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously);
        var host = Build(options, dataPlane, runtimes, ended);
        await host.StartAsync(cancel);
        var node = new NodeHost(host, dataPlane, runtimes, ended);
        var system = host.Services.GetRequiredService<ActorSystem>();
        _ = system.WhenTerminated.ContinueWith(
            _ => ended.TrySetResult("the cluster removed this node"), TaskScheduler.Default);
        await node.JoinAsync(system, options, cancel);
        return node;
    }

    /// <summary>Serves until cancelled (exit code 0) or until the cluster wants this node no longer (1).</summary>
    public async Task<int> RunAsync(CancellationToken cancel)
    {
        try
        {
            var reason = await _ended.Task.WaitAsync(cancel);
            await Console.Error.WriteLineAsync($"spotserve-node: {reason}");
            return 1;
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
    }

    public async ValueTask DisposeAsync()
    {
        using var limit = new CancellationTokenSource(StopMax);
        try
        {
            await _host.StopAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            // Peers and the planner see the closed sockets.
        }

        _dataPlane.Dispose();
        foreach (var runtime in _runtimes) runtime.Dispose();
    }

    private static TorchDeviceRuntime OpenDevice(NodeOptions options, int index) => new(new TorchRuntimeOptions
    {
        ModelFolder = options.ModelFolder,
        Device = DeviceName(options.Device, index),
        WeightType = options.WeightType,
        Threads = options.Threads,
        MemoryBytes = options.MemoryBytes,
        TorchLib = options.TorchLib,
    });

    private static string DeviceName(string first, int index)
    {
        if (first == "cpu") return first;
        var colon = first.IndexOf(':', StringComparison.Ordinal);
        var start = colon < 0 ? 0 : int.Parse(first[(colon + 1)..], System.Globalization.CultureInfo.InvariantCulture);
        return $"cuda:{start + index}";
    }

    private static DataPlaneNode Listen(NodeOptions options)
    {
        var endpoint = new IPEndPoint(options.Host, options.DataPort);
        try
        {
            return new DataPlaneNode(
                new DataPlaneOptions { Secret = options.Secret, Listen = endpoint }, TimeProvider.System);
        }
        catch (SocketException error)
        {
            throw new UsageException(
                $"The data plane cannot listen on {endpoint}: {error.Message}. Choose another --data-port or --host.");
        }
    }

    private static IHost Build(
        NodeOptions options,
        DataPlaneNode dataPlane,
        ImmutableArray<TorchDeviceRuntime> runtimes,
        TaskCompletionSource<string?> ended)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.AddSimpleConsole(console => console.SingleLine = true).SetMinimumLevel(LogLevel.Information);
        builder.Services.AddSingleton<IHostLifetime, CommandLifetime>();
        builder.Services.AddAkka(ClusterSettings.SystemName, akka => akka
            .AddHocon(ClusterSettings.Gpu(), HoconAddMode.Prepend)
            .ConfigureLoggers(loggers =>
            {
                loggers.ClearLoggers();
                loggers.AddLoggerFactory();
            })
            .WithRemoting(options.Host.ToString(), options.ClusterPort)
            .WithClustering(new ClusterOptions { Roles = [NodeHosting.GpuRole] })
            .AddSpotServeSerialization()
            .AddNode(
                system => new NodeInfo(
                    NameOf(system),
                    dataPlane.Endpoint.ToString(),
                    [.. runtimes.Select((runtime, index) =>
                        new DeviceInfo(index, runtime.Description, runtime.MemoryBytes))])
                {
                    SecretMark = options.Secret.Mark,
                },
                runtimes[0].Model,
                [.. runtimes],
                new DataPlaneLauncher(dataPlane, runtimes[0].Model, options.ConnectMax),
                reason => ended.TrySetResult(reason)));
        return builder.Build();
    }

    private static string NameOf(ActorSystem system)
    {
        var self = Akka.Cluster.Cluster.Get(system).SelfUniqueAddress;
        return $"{self.Address.Host}:{self.Address.Port}#{(uint)self.Uid:x}";
    }

    private async Task JoinAsync(ActorSystem system, NodeOptions options, CancellationToken cancel)
    {
        var cluster = Akka.Cluster.Cluster.Get(system);
        var seeds = options.Seeds.Select(seed => Address.Parse($"akka.tcp://{ClusterSettings.SystemName}@{seed}"));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(options.JoinMax);
        try
        {
            await cluster.JoinSeedNodesAsync(seeds, limit.Token);
        }
        catch (Exception error) when (!cancel.IsCancellationRequested)
        {
            await DisposeAsync();
            throw new UsageException(
                $"No control node at {string.Join(", ", options.Seeds)} took this node in within " +
                $"{options.JoinMax.TotalSeconds:0} s ({error.Message}). Is the seed running there, and reachable?");
        }
    }

    /// <summary>The command decides when the host stops, not the host's own signal handlers.</summary>
    private sealed class CommandLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
