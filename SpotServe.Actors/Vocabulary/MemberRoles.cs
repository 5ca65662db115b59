using System.Collections.Immutable;

namespace SpotServe.Actors.Vocabulary;

/// <summary>What a member of the cluster is, as its Akka.Cluster role says, and where the planner is found.</summary>
public static class MemberRoles
{
    /// <summary>Runs gateways, requests and the planner; on machines that stay.</summary>
    public const string Control = "control";

    /// <summary>Runs devices; on machines that may go.</summary>
    public const string Gpu = "gpu";

    /// <summary>Name of the planner's cluster singleton.</summary>
    public const string PlannerName = "planner";

    /// <summary>Elements of the planner's path: the singleton's manager, the parent that starts the planner again, the
    /// planner.</summary>
    internal static readonly ImmutableArray<string> PlannerPath = ["user", PlannerName, PlannerName, PlannerName];
}
