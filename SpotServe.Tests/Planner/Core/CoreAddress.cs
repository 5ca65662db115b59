using SpotServe.Actors.Planner;

namespace SpotServe.Tests.Planner.Core;

/// <summary>Where the core sends to in a <see cref="CoreWorld"/>.</summary>
/// <param name="Node">The node that it lives on; null for gateways and operators.</param>
internal sealed record CoreAddress(string Name, string? Node) : IAddress;
