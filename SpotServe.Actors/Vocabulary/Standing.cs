namespace SpotServe.Actors.Vocabulary;

/// <summary>Whose a request is, and how it stands among others that wait. Who asks is found out at the HTTP edge, never
/// taken from the request's body.</summary>
/// <param name="Client">Names who asks, up to <see cref="ClientCharsMax"/> characters; empty for all who are not told
/// apart.</param>
/// <param name="Weight">The client's share of a replica among clients that wait: one of weight 2 gets twice the tokens
/// of one of weight 1. 1 to <see cref="WeightMax"/>.</param>
/// <param name="Priority">Lower is sooner, as in vLLM; minus <see cref="PriorityMax"/> to
/// <see cref="PriorityMax"/>.</param>
public sealed record Standing(string Client, int Weight = 1, int Priority = 0)
{
    public const int ClientCharsMax = 96;

    public const int WeightMax = 1_000;

    public const int PriorityMax = 10;

    /// <summary>Of a client that is not told apart from others.</summary>
    public static Standing Anonymous { get; } = new("");
}
