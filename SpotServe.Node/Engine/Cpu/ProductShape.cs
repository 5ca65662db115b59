namespace SpotServe.Node.Engine.Cpu;

/// <summary>Where the elements of a product go.</summary>
internal enum ProductStore
{
    /// <summary>In the weight type, to a new place.</summary>
    Weights,

    /// <summary>In float32, to a new place.</summary>
    Set,

    /// <summary>In float32, on top of what is there.</summary>
    Add,
}

/// <summary>One product: sizes, and where its parts lie.</summary>
/// <param name="RowBytes">From one matrix row to the next.</param>
/// <param name="Arranged">The rows of values in float32, as <see cref="ArrangedValues{T}"/> lays them out.</param>
internal readonly unsafe record struct ProductShape(
    int Rows, int Inputs, int Outputs, long RowBytes, nint Matrix, nint Arranged, nint Target, ProductStore Store)
{
    /// <summary>Inputs of whole blocks.</summary>
    public int WholeInputs => Inputs / ICpuWeight.Block * ICpuWeight.Block;

    /// <summary>A matrix row; past the last one, the last.</summary>
    public byte* Weights(int output) => (byte*)Matrix + (Math.Min(output, Outputs - 1) * RowBytes);
}
