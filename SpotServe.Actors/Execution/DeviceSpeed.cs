namespace SpotServe.Actors.Execution;

/// <summary>What a device measured of itself when it started.</summary>
/// <param name="Model">Devices of one model are taken to be alike.</param>
/// <param name="WeightBytesPerSecond">Rate at which a matrix-vector product reads weights.</param>
/// <param name="FlopsPerSecond">Rate of large matrix products.</param>
/// <param name="LayerOverheadSeconds">Time of a layer that depends on neither bytes nor tokens.</param>
public sealed record DeviceSpeed(
    string Model, double WeightBytesPerSecond, double FlopsPerSecond, double LayerOverheadSeconds)
{
    /// <summary>Whether all of it can be planned with.</summary>
    public bool IsUsable() => Model.Length > 0
        && double.IsFinite(WeightBytesPerSecond) && WeightBytesPerSecond > 0
        && double.IsFinite(FlopsPerSecond) && FlopsPerSecond > 0
        && double.IsFinite(LayerOverheadSeconds) && LayerOverheadSeconds >= 0;

    /// <summary>E.g. "cpu EPYC (1 thread) float32: 12.1 GB/s, 0.05 TFLOP/s, 31 us a layer".</summary>
    public override string ToString() => FormattableString.Invariant(
        $"{Model}: {WeightBytesPerSecond / 1e9:0.0} GB/s, {FlopsPerSecond / 1e12:0.00} TFLOP/s, ")
        + FormattableString.Invariant($"{LayerOverheadSeconds * 1e6:0} us a layer");
}
