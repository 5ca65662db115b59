namespace SpotServe.Actors.Simulation;

/// <summary>Our own way to serve, played over any machines and requests.</summary>
public static class LiveSimulation
{
    /// <param name="progress">Hears the simulated second now and then; null for nobody.</param>
    /// <exception cref="Planning.PlanningException">The set-up is impossible; says what is short.</exception>
    public static SimulationOutcome Run(
        LiveSetup setup,
        Availability availability,
        IReadOnlyList<Arrival> arrivals,
        Action<double>? progress = null) => new LiveRun(setup).Run(availability, arrivals, progress);
}
