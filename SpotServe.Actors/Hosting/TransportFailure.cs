using Akka.Remote;

namespace SpotServe.Actors.Hosting;

/// <summary>Reads from the start of an actor system that failed whether its port could not be had.</summary>
public static class TransportFailure
{
    /// <summary>Why the control plane cannot listen; null when something else is wrong.</summary>
    public static string? In(Exception error)
    {
        for (var cause = error; cause is not null; cause = cause.InnerException)
        {
            if (cause is System.Net.Sockets.SocketException) return cause.Message;
            if (cause is AggregateException { InnerExceptions: [_, _, ..] many })
                return many.Select(In).FirstOrDefault(why => why is not null);
            if (cause is RemoteTransportException { InnerException: null }) return cause.Message;
        }

        return null;
    }
}
