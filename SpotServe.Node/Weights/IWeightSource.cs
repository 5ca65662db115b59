using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;

namespace SpotServe.Node.Weights;

/// <summary>Where an engine's weights come from: a checkpoint, made numbers for a benchmark, another node.</summary>
public unsafe interface IWeightSource
{
    /// <summary>Writes a part of a weight, row by row without gaps, converted to <paramref name="type"/>.</summary>
    /// <param name="name">The checkpoint's name of the tensor, its layer filled in.</param>
    /// <param name="shape">Its whole shape as the configuration promises it.</param>
    /// <param name="destination">Host memory for part.Elements elements.</param>
    /// <param name="onBytes">Told the destination's bytes as they become ready; called from several threads.</param>
    /// <exception cref="SpotServe.Actors.Execution.ModelFormatException">The tensor is missing or another.</exception>
    void Read(
        string name, IReadOnlyList<long> shape, Rectangle part, void* destination, ElementType type,
        Action<long> onBytes, CancellationToken cancel);
}
