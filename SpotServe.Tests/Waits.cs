namespace SpotServe.Tests;

/// <summary>How long tests wait for what has to come.</summary>
internal static class Waits
{
    /// <summary>
    /// The bound of a wait that only keeps a test that fails from hanging. It is no promise of the product: a machine
    /// with two cores and other work may need many seconds to run a thread. Only a test that fails waits so long.
    /// </summary>
    public static readonly TimeSpan Max = TimeSpan.FromMinutes(4);
}
