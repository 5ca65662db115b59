namespace SpotServe.Actors.Gateway;

/// <summary>
/// How much of a bounded room one client may have: at most <see cref="Factor"/> times what is free. Alone it gets
/// seven eighths; two that want all they can get have seven fifteenths each; and as long as a place is free, a client
/// that has none gets it. Nobody has to say how many clients there are.
/// </summary>
/// <remarks>The dynamic threshold of shared packet buffers (Choudhury and Hahne, 1998).</remarks>
public static class FairShare
{
    public const int Factor = 7;

    /// <summary>Whether a client may have one more.</summary>
    /// <param name="its">What it has.</param>
    /// <param name="used">What all have together.</param>
    /// <param name="max">The room.</param>
    public static bool Allows(long its, long used, long max) => its == 0 || its < Factor * (max - used);
}
