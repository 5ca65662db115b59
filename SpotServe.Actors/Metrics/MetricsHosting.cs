using Akka.Actor;
using Akka.Hosting;

namespace SpotServe.Actors.Metrics;

/// <summary>What a process runs for its metrics.</summary>
public static class MetricsHosting
{
    /// <summary>The cluster's metrics, as the control node that adds them up has them.</summary>
    public static IClusterMetrics NewClusterMetrics(TimeProvider clock) => new ClusterMetrics(clock);

    /// <summary>Has this process tell the control nodes what it measures.</summary>
    /// <param name="all">Of <see cref="NewClusterMetrics"/> on a control node, null elsewhere.</param>
    public static AkkaConfigurationBuilder AddMetrics(
        this AkkaConfigurationBuilder builder, IClusterMetrics? all, TimeProvider clock) =>
        builder.WithActors((system, _) => system.ActorOf(
            Props.Create(() => new MetricsActor(
                ProcessMetrics.OfThisProcess, (ClusterMetrics?)all, Akka.Cluster.Cluster.Get(system), clock)),
            MetricsActor.Name));
}
