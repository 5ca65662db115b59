namespace SpotServe.Node.Engine;

/// <summary>How an engine computes.</summary>
/// <param name="UsePlainOperations">Only libtorch's operations, for comparison with our kernels.</param>
internal readonly record struct EngineOptions(
    Numerics Numerics = Numerics.Invariant, bool UsePlainOperations = false);
