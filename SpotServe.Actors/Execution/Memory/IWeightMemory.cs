using SpotServe.Actors.ModelFolder;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>Where blocks get their memory and, for want of anything nearer, their content.</summary>
public interface IWeightMemory
{
    /// <summary>Memory for the parts of a stack that a key holds; its content is undefined.</summary>
    /// <exception cref="EngineLostException">The device has too little memory or failed.</exception>
    TensorBytes Allocate(StackedTensors stack, WeightKey key);

    /// <summary>Memory that has the model folder's content already, without a copy; null where that cannot
    /// be.</summary>
    /// <exception cref="ModelFormatException">The folder's tensors are not those of the configuration.</exception>
    TensorBytes? Map(StackedTensors stack, WeightKey key, CancellationToken cancel);

    /// <summary>Reads a part of a tensor from the model folder into its place.</summary>
    /// <param name="part">Rectangle of the logical tensor, within what is placed here.</param>
    /// <param name="onBytes">Told the bytes as they become ready; called from several threads.</param>
    /// <exception cref="ModelFormatException">The folder's tensors are not those of the configuration.</exception>
    void Load(PlacedTensor tensor, int layer, Rectangle part, Action<long> onBytes, CancellationToken cancel);

    /// <summary>Whether a part that came from elsewhere has the model folder's numbers, by a few samples: another
    /// model's differ nearly everywhere, and to compare all would be to read all from the folder.</summary>
    bool Agrees(PlacedTensor tensor, int layer, Rectangle part, CancellationToken cancel) => true;
}
