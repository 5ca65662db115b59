using System.Net;
using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Hosting;
using Akka.Remote.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Remoting;
using SpotServe.Actors.Serialization;
using SpotServe.Node.Hosting;

namespace SpotServe.Tests.Benchmarks.Edge;

/// <summary>A node of this process: the product's actors and data plane over a paced fake device.</summary>
internal sealed class PacedNode : IAsyncDisposable
{
    private static readonly TimeSpan ConnectMax = TimeSpan.FromSeconds(20);

    private readonly IHost _host;
    private readonly DataPlaneNode _dataPlane;

    private PacedNode(IHost host, DataPlaneNode dataPlane, PacedRuntime runtime)
    {
        _host = host;
        _dataPlane = dataPlane;
        Runtime = runtime;
    }

    public PacedRuntime Runtime { get; }

    /// <summary>Joins a cluster without a secret.</summary>
    /// <param name="seed">Its control node, "host:port".</param>
    public static async Task<PacedNode> JoinAsync(string seed, ModelSpec model, CancellationToken cancel)
    {
        var access = ClusterAccess.Open;
        var runtime = new PacedRuntime(model, memoryBytes: 1L << 30);
        var dataPlane = new DataPlaneNode(
            new DataPlaneOptions { Secret = access.Secret!, Listen = new IPEndPoint(IPAddress.Loopback, 0) },
            TimeProvider.System);
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Services.AddAkka(ClusterSettings.SystemName, akka => akka
            .AddHocon(ClusterSettings.Gpu(), HoconAddMode.Prepend)
            .ConfigureLoggers(loggers => loggers.ClearLoggers())
            .AddSetup(new RemotingSetup(access.Identity))
            .WithRemoting(IPAddress.Loopback.ToString(), 0)
            .WithClustering(new ClusterOptions { Roles = [MemberRoles.Gpu] })
            .AddSpotServeSerialization()
            .AddNode(
                system => Describe(system, dataPlane, runtime, access),
                model,
                [runtime],
                new DataPlaneLauncher(dataPlane, model, ConnectMax),
                new NodeDeparture(TimeProvider.System),
                reason => throw new InvalidOperationException(reason)));
        var host = builder.Build();
        await host.StartAsync(cancel);
        Akka.Cluster.Cluster.Get(host.Services.GetRequiredService<ActorSystem>()).JoinSeedNodes(
            [Address.Parse($"akka.tcp://{ClusterSettings.SystemName}@{seed}")]);
        return new PacedNode(host, dataPlane, runtime);
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
        _dataPlane.Dispose();
        Runtime.Dispose();
    }

    private static NodeInfo Describe(
        ActorSystem system, DataPlaneNode dataPlane, PacedRuntime runtime, ClusterAccess access)
    {
        var self = Akka.Cluster.Cluster.Get(system).SelfUniqueAddress;
        return new NodeInfo(
            $"{self.Address.Host}:{self.Address.Port}#{(uint)self.Uid:x}",
            dataPlane.Endpoint.ToString(),
            [new DeviceInfo(0, runtime.Description, runtime.MemoryBytes)])
        {
            SecretMark = access.Secret!.Mark,
            ProcessId = Environment.ProcessId,
        };
    }
}
