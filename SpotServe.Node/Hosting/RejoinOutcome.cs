using SpotServe.Actors;
using SpotServe.Actors.Hosting;

namespace SpotServe.Node.Hosting;

/// <summary>What one try to join again led to: a membership, or why not.</summary>
internal readonly record struct RejoinOutcome<T>(T? Membership, string Reason)
    where T : class;

/// <summary>
/// A try to join again fails for what it meets, never the process: its devices hold weights. Where no core is free an
/// actor system may not even start within Akka's limits, and the next try finds another moment.
/// </summary>
internal static class RejoinOutcome
{
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <exception cref="InvariantException">A bug: trying again would meet it again.</exception>
    public static async Task<RejoinOutcome<T>> OfAsync<T>(Func<Task<T>> join, CancellationToken cancel)
        where T : class
    {
        try
        {
            return new RejoinOutcome<T>(await join().ConfigureAwait(false), "");
        }
        catch (Exception error) when (error is not InvariantException && !cancel.IsCancellationRequested)
        {
            return new RejoinOutcome<T>(null, error is UsageException
                ? error.Message
                : $"could not start to join again: {error.Message}");
        }
    }
}
