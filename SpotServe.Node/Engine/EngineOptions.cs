using SpotServe.Node.Lifetime;

namespace SpotServe.Node.Engine;

/// <summary>How an engine computes.</summary>
/// <param name="UsePlainOperations">Only libtorch's operations, for comparison with our kernels.</param>
/// <param name="Timeline">Told when its first step begins and ends; null for nobody.</param>
/// <param name="Tell">Told in one line how the ranks of a stage sum.</param>
internal readonly record struct EngineOptions(
    Numerics Numerics = Numerics.Invariant, bool UsePlainOperations = false, StartTimeline? Timeline = null,
    Action<string>? Tell = null);
