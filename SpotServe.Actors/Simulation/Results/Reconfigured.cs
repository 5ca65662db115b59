namespace SpotServe.Actors.Simulation;

/// <summary>A change of layout in a run.</summary>
/// <param name="At">When the old layout stopped.</param>
/// <param name="Machines">That were there.</param>
/// <param name="Degrees">D = 0 when nothing fits.</param>
/// <param name="Cause">In a person's words.</param>
/// <param name="Pause">Seconds in which replicas that changed served nothing.</param>
/// <param name="MovedBytes">Between devices and from storage.</param>
public sealed record Reconfigured(
    double At, int Machines, LayoutDegrees Degrees, string Cause, double Pause, long MovedBytes);
