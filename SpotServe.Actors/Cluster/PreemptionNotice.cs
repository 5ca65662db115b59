using Akka.Actor;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// This node will be taken away. Published on the actor system's event stream by whoever learns of it (the process's
/// signal and file, the node actor for an operator's <see cref="ClusterProtocol.PreemptNode"/>); the process hears it
/// there, starts leaving the cluster, and gives it to the node actor, which tells the planner.
/// </summary>
/// <param name="Deadline">When the machine goes; the node is out of the cluster by then, released or not.</param>
/// <param name="Source">Who said so: "signal", "file", "admin", later a cloud's name.</param>
/// <param name="IsGuess">Whoever said so named no deadline, as a cloud's hint that the machine is likely to go does not:
/// any deadline that is named later counts instead, be it sooner or not.</param>
public sealed record PreemptionNotice(DateTimeOffset Deadline, string Source, bool IsGuess = false)
    : INoSerializationVerificationNeeded
{
    /// <summary>Whether this says more than what is known: a named deadline counts more than a guess, and of two of a
    /// kind the sooner counts.</summary>
    public bool Supersedes(PreemptionNotice? known) =>
        known is null || (IsGuess == known.IsGuess ? Deadline < known.Deadline : known.IsGuess);
}
