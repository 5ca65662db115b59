using System.Collections.Immutable;
using Akka;
using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Hosting;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Scheduling;

namespace SpotServe.Actors.Hosting;

/// <summary>What a gpu node runs: a node actor with a shard actor for each device.</summary>
public static class NodeHosting
{
    /// <summary>Gateways bound the open requests; this only stops a replica from queueing without limit.</summary>
    private const int QueuedRequestsMax = 65_536;

    /// <param name="describe">Names the node once its actor system has an address.</param>
    /// <param name="runtimes">One for each device, in the order of <see cref="NodeInfo.Devices"/>.</param>
    /// <param name="departure">Takes notices and says when the node may go.</param>
    /// <param name="onUnfit">Called when this node can serve no more, with the reason.</param>
    public static AkkaConfigurationBuilder AddNode(
        this AkkaConfigurationBuilder builder,
        Func<ActorSystem, NodeInfo> describe,
        ModelSpec model,
        ImmutableArray<IDeviceRuntime> runtimes,
        IStageLauncher launcher,
        NodeDeparture departure,
        Action<string> onUnfit) => builder
        .AddFailureRehearsal()
        .WithSingletonProxy<PlannerKey>(
            MemberRoles.PlannerName, new ClusterSingletonOptions { Role = MemberRoles.Control })
        .WithActors((system, registry) =>
        {
            var node = describe(system);
            var planner = registry.Get<PlannerKey>();
            var actor = system.ActorOf(
                NodeProps(node, model, planner, runtimes, launcher, onUnfit, departure.Release, TimeProvider.System),
                "node");
            AddDeparture(system, actor, departure);
        });

    /// <summary>The node actor with all that it makes; simulations have nothing else of a node.</summary>
    internal static Props NodeProps(
        NodeInfo node,
        ModelSpec model,
        IActorRef planner,
        ImmutableArray<IDeviceRuntime> runtimes,
        IStageLauncher launcher,
        Action<string> onUnfit,
        Action<string> onReleased,
        TimeProvider clock) => Props.Create(() => new NodeActor(
            node,
            model,
            planner,
            index => ShardProps(node, index, runtimes, launcher, clock),
            onUnfit,
            onReleased,
            clock));

    private static void AddDeparture(ActorSystem system, IActorRef node, NodeDeparture departure)
    {
        var cluster = Akka.Cluster.Cluster.Get(system);
        system.ActorOf(
            Props.Create(() => new DepartureActor(departure, node, () => cluster.Leave(cluster.SelfAddress))),
            "departure");
        var shutdown = CoordinatedShutdown.Get(system);
        shutdown.AddTask(CoordinatedShutdown.PhaseBeforeServiceUnbind, "release", async () =>
        {
            // A node that the cluster has removed has nobody left who could release it.
            if (shutdown.ShutdownReason is not CoordinatedShutdown.ClusterDowningReason)
                await departure.UntilReleasedAsync().ConfigureAwait(false);
            return Done.Instance;
        });
    }

    private static Props ShardProps(
        NodeInfo node,
        int index,
        ImmutableArray<IDeviceRuntime> runtimes,
        IStageLauncher launcher,
        TimeProvider clock) =>
        Props.Create(() => new ShardActor(
            new DeviceId(node.Node, index), runtimes[index], launcher,
            command => Props.Create(() => new PositionActor(
                command, runtimes[index], launcher,
                (position, assignment, pipeline) => ReplicaProps(position, assignment, pipeline, runtimes[index].Model),
                clock))));

    private static Props ReplicaProps(
        ClusterProtocol.ConnectPosition position,
        StageAssignment assignment,
        IStepPipeline pipeline,
        ModelSpec model) =>
        ReplicaActor.Props(
            position.Epoch,
            assignment.Position.Replica,
            new SchedulerLimits
            {
                StepTokensMax = assignment.StepTokensMax,
                // The rest is left to decode, so that a whole chunk nearly always finds room. It follows from a setting
                // that all layouts share, so a prompt is cut alike in all of them; in whole pages, because only where a
                // chunk and a page end together can another prompt go on.
                PrefillChunkTokensMax = Math.Max(
                    KvPage.Tokens, assignment.StepTokensMax * 3 / 4 / KvPage.Tokens * KvPage.Tokens),
                QueuedRequestsMax = QueuedRequestsMax,
                SequencesMax = assignment.SequencesMax,
                PageCount = assignment.PageCount,
                StepsInFlightMax = assignment.StageCount,
                ContextMax = position.ContextMax,
                VocabularySize = model.VocabularySize,
                PrefixRoot = assignment.KeepsPrefixes ? PrefixKey.Root(model.Fingerprint) : null,
            },
            pipeline,
            expects: position.Origin?.Expects);
}
