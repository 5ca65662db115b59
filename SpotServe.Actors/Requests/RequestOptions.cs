using SpotServe.Actors.Persistence;

namespace SpotServe.Actors.Requests;

/// <summary>Limits of a request's life.</summary>
public sealed record RequestOptions
{
    /// <summary>With no word from its replica for this long, the entity submits again (idempotent).</summary>
    public TimeSpan SilenceMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A finished request can be read for this long; then its journal is deleted.</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>An entity that was asked where it is waits so long for its request.</summary>
    public TimeSpan LocatedMax { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Most subscribers of one request.</summary>
    public int SubscribersMax { get; init; } = 16;

    /// <summary>While it is in trouble, a request that cannot be written waits. A health of its own never is.</summary>
    public JournalHealth Journal { get; init; } = new();

    /// <summary>A request that waits for the journal looks so often whether it takes writes again.</summary>
    public TimeSpan JournalRetry { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Replicas that may be lost with the request in the step, without its getting on, before it is run
    /// alone.</summary>
    public int LossesMax { get; init; } = 3;

    /// <summary>Replicas that may be lost while it runs alone and gets nowhere before it is ended. Two may be chance:
    /// under steady kills, one of a few hundred losses falls into the moment in which some request runs alone, and one
    /// of ten thousand simulated clusters had two of them after each other.</summary>
    public int LossesAloneMax { get; init; } = 3;

    /// <summary>Finds stop strings in tokens; null leaves that to whoever reads the request.</summary>
    public StopSearchFactory? StopSearch { get; init; }
}
