namespace SpotServe.Actors.Requests;

/// <summary>What a request's next attempt is, after so many replicas were lost with it.</summary>
internal enum NextAttempt
{
    /// <summary>In a batch with others.</summary>
    Together,

    /// <summary>Alone in its steps, so that another loss tells something.</summary>
    Alone,

    /// <summary>None: it is taken for the cause of the losses.</summary>
    None,
}

/// <summary>
/// How often a request's replica was lost with the request in the step, and what follows. Whether the request was the
/// cause, nobody knows: nodes are killed for other reasons, too. What tells them apart is progress, since what a
/// request does to a replica it does each time at the same token. So the count begins anew whenever the request has got
/// on by <see cref="ProgressTokens"/>, a loss after a few tokens counts a quarter of one after none, and a count that
/// reaches its limit ends nothing: the request is run alone, and only losses in which it got nowhere alone end it. One
/// of these may be chance. Pure: a fold over the request's journal, so that no restart forgets it.
/// </summary>
/// <param name="Losses">Losses since progress, the weights of all added up.</param>
/// <param name="LossesAlone">Losses in a row while it was run alone and drew no more than one token.</param>
/// <param name="TokensAtLoss">Committed tokens at the last loss; null when it has got on since, or there was
/// none.</param>
/// <param name="TokensWhenAlone">Committed tokens when it began to run alone; null when it does not.</param>
internal sealed record ReplayBudget(double Losses, int LossesAlone, int? TokensAtLoss, int? TokensWhenAlone)
{
    /// <summary>So many tokens after a loss are progress: a page.</summary>
    private const int ProgressTokens = 16;

    /// <summary>So many drawn alone show that the request is not the cause: the first comes from its prefill, the
    /// second from a decode step.</summary>
    private const int ProgressAlone = 2;

    private const double WeightAfterSome = 0.25;

    public static ReplayBudget Full { get; } = new(0, 0, null, null);

    /// <summary>The request has so many committed tokens now.</summary>
    public ReplayBudget OnCommitted(int tokens) =>
        (TokensWhenAlone is { } alone && tokens - alone >= ProgressAlone)
        || (TokensAtLoss is { } lost && tokens - lost >= ProgressTokens)
            ? Full
            : this;

    /// <summary>Its replica was lost, as far as is known with the request in the step.</summary>
    /// <param name="wasTogether">It did not run alone any more.</param>
    public ReplayBudget OnLoss(int tokens, bool wasTogether = false) => new(
        Losses + (TokensAtLoss is { } before && tokens > before ? WeightAfterSome : 1),
        TokensWhenAlone is null || wasTogether ? LossesAlone : LossesAlone + 1,
        tokens,
        TokensWhenAlone: null);

    /// <summary>It is about to be run alone.</summary>
    public ReplayBudget OnAlone(int tokens) => this with { TokensWhenAlone = tokens };

    /// <param name="lossesMax">Losses after which it is run alone.</param>
    /// <param name="lossesAloneMax">Losses alone after which it ends.</param>
    public NextAttempt Next(int lossesMax, int lossesAloneMax) =>
        LossesAlone >= lossesAloneMax ? NextAttempt.None
        : Losses >= lossesMax ? NextAttempt.Alone
        : NextAttempt.Together;
}
