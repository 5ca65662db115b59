namespace SpotServe.Actors.Hosting;

/// <summary>The conversation of members that want to know whether another one lives.</summary>
public static class DowningProtocol
{
    /// <summary>Answered by <see cref="IAmHere"/> from whatever process has the address now.</summary>
    public sealed record AreYouThere;

    /// <param name="Uid">Of the answering actor system: one that was started anew is no longer the member.</param>
    public sealed record IAmHere(int Uid);
}
