using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>A request on its way. Its tokens never grow beyond what was asked for; those that were lost are
/// counted.</summary>
/// <param name="index">Its place among all arrivals: who comes first is served first.</param>
internal sealed class SimulatedRequest(int index, Arrival arrival)
{
    public int Index => index;

    public double ArrivedAt => arrival.Seconds;

    public int PromptTokens => arrival.PromptTokens;

    public int OutputTokens => arrival.OutputTokens;

    /// <summary>Tokens generated and kept.</summary>
    public int Decoded { get; private set; }

    /// <summary>Null until the last token is there.</summary>
    public double? CompletedAt { get; private set; }

    /// <summary>Tokens, of prompt and output, whose keys and values were lost and are computed again.</summary>
    public long RecomputedTokens { get; private set; }

    public int Remaining => OutputTokens - Decoded;

    public void Advance(int tokens)
    {
        Invariant.Holds(tokens >= 0 && tokens <= Remaining);
        Invariant.Holds(CompletedAt is null);
        Decoded += tokens;
    }

    public void Complete(double seconds)
    {
        Invariant.Holds(Remaining == 0 && CompletedAt is null);
        Invariant.Holds(seconds >= ArrivedAt);
        CompletedAt = seconds;
    }

    /// <summary>The request starts over: what was generated is generated again (the baselines).</summary>
    public void StartOver(bool prefilled)
    {
        Invariant.Holds(CompletedAt is null);
        RecomputedTokens += Decoded + (prefilled ? PromptTokens : 0);
        Decoded = 0;
    }

    /// <summary>The tokens stay, and their keys and values are computed again.</summary>
    public void LoseCache() => RecomputedTokens += PromptTokens + Decoded;

    /// <summary>The request as the planner sees its cache.</summary>
    public CachedRequest Cached => new(
        new RequestId(FormattableString.Invariant($"{index:D9}")), PromptTokens + Decoded, Decoded);
}
