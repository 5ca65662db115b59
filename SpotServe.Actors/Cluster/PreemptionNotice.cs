using Akka.Actor;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// This node will be taken away. Published on the actor system's event stream by whoever learns of it (the process's
/// signal and file, the node actor for an operator's <see cref="ClusterProtocol.PreemptNode"/>); the process hears it
/// there, starts leaving the cluster, and gives it to the node actor, which tells the planner.
/// </summary>
/// <param name="Deadline">When the machine goes; the node is out of the cluster by then, released or not.</param>
/// <param name="Source">Who said so: "signal", "file", "admin", or the cloud: "aws", "azure", "gcp".</param>
public sealed record PreemptionNotice(DateTimeOffset Deadline, string Source) : INoSerializationVerificationNeeded;
