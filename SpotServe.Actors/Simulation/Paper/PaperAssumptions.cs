namespace SpotServe.Actors.Simulation;

/// <summary>What the paper does not say and a simulation must assume: one set for all cells, three fitted
/// constants.</summary>
/// <param name="EngineRestartSeconds">Fitted: an engine that was stopped serves again no sooner.</param>
/// <param name="HolderRestartSeconds">Fitted: the process that holds weights, when it is restarted too.</param>
/// <param name="StorageBytesPerSecond">Fitted: at which a machine loads weights from its storage.</param>
/// <param name="PoolFactor">A replica has at most this many times B requests, running and waiting.</param>
public sealed record PaperAssumptions(
    double EngineRestartSeconds = 2,
    double HolderRestartSeconds = 15,
    double StorageBytesPerSecond = 4e9,
    int PoolFactor = 1)
{
    /// <summary>Notice before a machine goes, and before one is ready.</summary>
    public double NoticeSeconds { get; init; } = 30;

    /// <summary>The artifact's fixed part of T_mig.</summary>
    public double MigrationOverheadSeconds { get; init; } = 0.5;

    /// <summary>Factor on every time of the cost model: 1, but for perturbed runs.</summary>
    public double ExecutionFactor { get; init; } = 1;

    public override string ToString() => FormattableString.Invariant(
        $"engine restart {EngineRestartSeconds:0.##} s, weight-holder restart {HolderRestartSeconds:0.##} s, ")
        + FormattableString.Invariant($"storage {StorageBytesPerSecond / 1e9:0.##} GB/s a machine (fitted); ")
        + FormattableString.Invariant($"pools of {PoolFactor} x B, notice {NoticeSeconds:0.##} s, ")
        + FormattableString.Invariant($"T_mig's fixed part {MigrationOverheadSeconds:0.##} s");
}
