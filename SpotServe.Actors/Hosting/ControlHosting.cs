using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Cluster.Sharding;
using Akka.Hosting;
using Akka.Pattern;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Requests;
using SpotServe.Actors.Threads;

namespace SpotServe.Actors.Hosting;

/// <summary>Registry key of the planner singleton's proxy.</summary>
public sealed class PlannerKey;

/// <summary>Registry key of the gateway actor of this process.</summary>
public sealed class GatewayKey;

/// <summary>Registry key of the shard region of request entities.</summary>
public sealed class RequestsKey;

/// <summary>Registry key of the proxy of the requests' keeper.</summary>
internal sealed class RequestKeeperKey;

/// <summary>
/// What a control node runs: the planner singleton, the sharded requests and their keeper, a gateway.
/// </summary>
public static class ControlHosting
{
    /// <summary>Request entities are spread over this many shards; fixed for the life of a cluster.</summary>
    private const int ShardCount = 64;

    public static AkkaConfigurationBuilder AddControl(
        this AkkaConfigurationBuilder builder,
        PlannerOptions planner,
        GatewayOptions gateway,
        RequestOptions requests,
        IRequestJournal journal,
        IJournalProbe probe,
        ClusterBoard board,
        TimeProvider clock) => builder
        .AddTokenThread()
        .AddFailureRehearsal()
        .WithSingleton<PlannerKey>(
            MemberRoles.PlannerName,
            PlannerProps(planner, clock, AkkaMembership.Instance, gateway.Journal),
            new ClusterSingletonOptions { Role = MemberRoles.Control })
        .AddGateway(gateway, board, clock)
        .WithActors((system, _) => system.ActorOf(
            JournalWatch.Props(probe, gateway.Journal, new JournalWatchOptions(), clock), "journal-watch"))
        .WithSingleton<RequestKeeperKey>(
            "request-keeper",
            (_, registry, _) => RequestKeeper.Props(
                journal, () => registry.Get<RequestsKey>(), new RequestKeeperOptions(), clock),
            new ClusterSingletonOptions { Role = MemberRoles.Control })
        .WithShardRegion<RequestsKey>(
            "requests",
            (system, registry, _) => id =>
                RequestEntity.Props(new RequestId(id), requests, clock, registry.Get<GatewayKey>())
                    .OnTokenThread(system),
            HashCodeMessageExtractor.Create(
                ShardCount, message => message is RequestProtocol.IMessage request ? request.Id.Value : null!),
            new ShardOptions
            {
                Role = MemberRoles.Control,
                StateStoreMode = StateStoreMode.DData,
                // The keeper wakes them: the journal knows which requests are open (docs/adr/0020).
                RememberEntities = false,
            });

    /// <summary>
    /// The planner under a parent that starts it again. It stops when its journal refuses a write: because the database
    /// is away for a moment, or because a planner that was given up woke up and wrote once more. A singleton's manager
    /// would leave it at that, and nobody would plan any more.
    /// </summary>
    internal static Props PlannerProps(
        PlannerOptions options, TimeProvider clock, IMembership membership, JournalHealth health) =>
        BackoffSupervisor.Props(
            Backoff.OnStop(
                PlannerActor.Props(options, clock, membership, health),
                MemberRoles.PlannerName,
                minBackoff: TimeSpan.FromSeconds(0.2),
                maxBackoff: TimeSpan.FromSeconds(5),
                randomFactor: 0,
                maxNrOfRetries: -1)
            .WithAutoReset(TimeSpan.FromSeconds(30))
            .WithSupervisorStrategy(new OneForOneStrategy(error => error is InvariantException
                ? Directive.Escalate   // a bug: never restart over it
                : Directive.Stop)));

    private static AkkaConfigurationBuilder AddGateway(
        this AkkaConfigurationBuilder builder, GatewayOptions options, ClusterBoard board, TimeProvider clock) =>
        builder.WithActors((system, registry) => registry.Register<GatewayKey>(system.ActorOf(
            Props.Create(() => new GatewayActor(
                options, clock, board, registry.Get<PlannerKey>(), () => registry.Get<RequestsKey>()))
                .OnTokenThread(system),
            "gateway")));
}
