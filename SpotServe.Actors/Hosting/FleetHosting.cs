using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Hosting;
using Akka.Pattern;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Persistence;

namespace SpotServe.Actors.Hosting;

/// <summary>Registry key of the fleet manager's proxy.</summary>
public sealed class FleetKey;

/// <summary>Runs the fleet manager beside the planner.</summary>
public static class FleetHosting
{
    private const string FleetName = "fleet";

    /// <summary>The manager under a parent that starts it again: it stops when its journal refuses a write, as the
    /// planner does, and a singleton's manager would leave it at that.</summary>
    public static AkkaConfigurationBuilder AddFleet(
        this AkkaConfigurationBuilder builder,
        FleetLimits limits,
        ICloud cloud,
        JournalHealth health,
        TimeProvider clock) => builder.WithSingleton<FleetKey>(
            FleetName,
            (_, registry, _) => BackoffSupervisor.Props(
                Backoff.OnStop(
                    FleetActor.Props(limits, cloud, () => registry.Get<PlannerKey>(), clock, health),
                    FleetName,
                    minBackoff: TimeSpan.FromSeconds(0.2),
                    maxBackoff: TimeSpan.FromSeconds(5),
                    randomFactor: 0,
                    maxNrOfRetries: -1)
                .WithAutoReset(TimeSpan.FromSeconds(30))
                .WithSupervisorStrategy(new OneForOneStrategy(error => error is InvariantException
                    ? Directive.Escalate   // a bug: never restart over it
                    : Directive.Stop))),
            new ClusterSingletonOptions { Role = MemberRoles.Control });
}
