namespace SpotServe.Actors.Hosting;

/// <summary>The conversation of members that want to know whether another one lives.</summary>
internal static class DowningProtocol
{
    /// <summary>Answered by <see cref="IAmHere"/> from whatever process has the address now.</summary>
    /// <param name="Question">A number that only the process at that address gets to know.</param>
    public sealed record AreYouThere(long Question);

    /// <param name="Uid">Of the answering actor system: one that was started anew is no longer the member.</param>
    /// <param name="Question">Of the <see cref="AreYouThere"/> that it answers. An answer to nothing proves
    /// nothing: it could have the cluster give up a member that lives.</param>
    public sealed record IAmHere(int Uid, long Question);
}
