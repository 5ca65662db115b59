namespace SpotServe.Actors.Simulation;

/// <summary>A request that comes.</summary>
/// <param name="Seconds">Since the run began.</param>
/// <param name="PromptTokens">S_in, at least 1.</param>
/// <param name="OutputTokens">S_out, at least 1.</param>
public readonly record struct Arrival(double Seconds, int PromptTokens, int OutputTokens);
