using System.Net;
using System.Net.Sockets;
using SpotServe.Actors.Hosting;

namespace SpotServe.Seed.Hosting;

/// <summary>The two ports that a control node listens on: whether they can be had, and what to say if not.</summary>
internal static class ListeningPorts
{
    /// <exception cref="UsageException">One of the ports cannot be had; it says why and what to do.</exception>
    public static void Check(SeedOptions options)
    {
        if (IsTaken(options.Host, options.HttpPort) is { } httpTaken)
            throw IsElsewhere(options, httpTaken) ?? PortTaken(options, httpTaken);
        if (options.Beside is null && IsTaken(options.Host, options.ClusterPort) is { } clusterTaken)
            throw ClusterPortTaken(options, clusterTaken.Message);
    }

    /// <summary>
    /// Why the host did not start: another program may have taken a port between the first look and the real one. Null
    /// where no port is the reason.
    /// </summary>
    public static UsageException? Failure(SeedOptions options, Exception error) => error switch
    {
        IOException => PortTaken(options, error),
        _ when TransportFailure.In(error) is { } why => ClusterPortTaken(options, why),
        _ => null,
    };

    /// <summary>The address that a host's name or digits stand for.</summary>
    /// <exception cref="UsageException">It has none.</exception>
    public static IPAddress Resolve(string host)
    {
        if (IPAddress.TryParse(host, out var address)) return address;
        try
        {
            return Dns.GetHostAddresses(host).FirstOrDefault()
                ?? throw new UsageException($"--host {host} has no address.");
        }
        catch (SocketException error)
        {
            throw new UsageException($"--host {host} cannot be resolved: {error.Message}");
        }
    }

    /// <summary>
    /// Why a port cannot be had; null when it can. Kestrel and Akka find out too late: by then the logs and the journal
    /// of the one that has it are open.
    /// </summary>
    private static SocketException? IsTaken(string host, int port)
    {
        using var probe = new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            probe.Bind(new IPEndPoint(Resolve(host), port));
            return null;
        }
        catch (SocketException error)
        {
            return error;
        }
    }

    /// <summary>No port can be had on another machine's address, so none is to be looked for.</summary>
    private static UsageException? IsElsewhere(SeedOptions options, SocketException error) =>
        error.SocketErrorCode != SocketError.AddressNotAvailable ? null : new UsageException(
            $"--host {options.Host} is no address of this machine. Give one that it has (ip address lists them).");

    private static UsageException ClusterPortTaken(SeedOptions options, string why) => new(
        $"The control plane cannot listen on {options.Host}:{options.ClusterPort}: {why.TrimEnd('.')}. " +
        "Stop the program that has the port, or choose another with --cluster-port.");

    private static UsageException PortTaken(SeedOptions options, Exception error) => new(
        $"Cannot listen on http://{options.Host}:{options.HttpPort}: {error.Message.TrimEnd('.')}. " +
        "Stop the program that has the port, or choose another with --port.");
}
