using Akka.Actor;

namespace SpotServe.Actors.Cluster;

/// <summary>All bytes of the node's checkpoint have been read: their hash. Published on the event stream of the
/// node's process.</summary>
/// <param name="Hash">In hexadecimal.</param>
public sealed record WeightsHashed(string Hash) : INoSerializationVerificationNeeded;
