using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Configuration;
using Akka.Event;
using Akka.Remote.Transport;
using SpotServe.Actors.DataPlane;

namespace SpotServe.Actors.Remoting;

/// <summary>Tells the transport of an actor system who belongs to the cluster.</summary>
/// <param name="identity">Null leaves connections open to everybody and unencrypted (`--insecure`).</param>
public sealed class RemotingSetup(ClusterIdentity? identity) : Setup
{
    public ClusterIdentity? Identity { get; } = identity;

    /// <summary>A socket that listens already, so that peers can call before this actor system runs; null: the
    /// transport opens its own. It is the transport's from then on.</summary>
    public Socket? Listener { get; init; }
}

/// <summary>On the event stream: a peer that this process called is no member, or takes this one for none.</summary>
public sealed record PeerRefused(Address Peer, string Reason) : INoSerializationVerificationNeeded;

/// <summary>
/// Akka.Remote's transport: frames over TCP in mutual TLS. Akka hears of a connection only after the peer has proven
/// that it belongs to the cluster; until then it is a socket with a deadline, one of a bounded number.
/// </summary>
/// <remarks>
/// Akka's own transport can do mutual TLS, but ends the whole actor system when a handshake fails that it began itself,
/// and one fails whenever the peer is killed, halted or cut off at the wrong moment (docs/adr/0031). It also announces
/// a connection before the handshake and writes a stack trace for each failure.
/// </remarks>
internal sealed class SecureTransport : Transport
{
    private const string Scheme = "tcp";

    private readonly string _hostname;
    private readonly string _publicHostname;
    private readonly int _port;
    private readonly TimeSpan _connectMax;
    private readonly TimeSpan _flushMax;
    private readonly FrameSecurity _security;
    private readonly ConnectionGate _gate;
    private readonly RefusalLog _refusals;
    private readonly TaskCompletionSource<IAssociationEventListener> _listener =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly CancellationTokenSource _stopping = new();
    private readonly HashSet<FramedConnection> _connections = [];
    private readonly Socket? _given;
    private Socket? _server;

    /// <summary>Akka makes it by reflection with these.</summary>
    public SecureTransport(ActorSystem system, Config config)
    {
        System = system;
        Config = config;
        SchemeIdentifier = Scheme;
        MaximumPayloadBytes = config.GetByteSize("maximum-frame-size", null) ?? 128_000;
        _hostname = config.GetString("hostname", "");
        _port = config.GetInt("port", 0);
        var shown = config.GetString("public-hostname", "");
        _publicHostname = string.IsNullOrEmpty(shown) ? _hostname : shown;
        _connectMax = config.GetTimeSpan("connection-timeout", TimeSpan.FromSeconds(15));
        _flushMax = system.Settings.Config.GetTimeSpan("akka.remote.flush-wait-on-shutdown", TimeSpan.FromSeconds(2));
        var setup = system.Settings.Setup.Get<RemotingSetup>();
        if (!setup.HasValue)
        {
            throw new ConfigurationException(
                "An actor system that is reached from elsewhere says who may do so: add a RemotingSetup.");
        }

        _given = setup.Value.Listener;
        _security = new FrameSecurity(setup.Value.Identity);
        _refusals = new RefusalLog(
            Logging.GetLogger(system, typeof(SecureTransport)), TimeProvider.System, system);
        _gate = new ConnectionGate(_security, _refusals);
    }

    /// <summary>Connections whose peers have proven who they are.</summary>
    internal int ConnectionCount
    {
        get
        {
            lock (_connections) return _connections.Count;
        }
    }

    public override async Task<(Address, TaskCompletionSource<IAssociationEventListener>)> Listen()
    {
        var server = _given ?? await OpenAsync().ConfigureAwait(false);
        _server = server;
        _ = AcceptAsync(server);
        return (AddressOf(server.LocalEndPoint!, _publicHostname), _listener);
    }

    private async Task<Socket> OpenAsync()
    {
        var endpoint = new IPEndPoint(await ResolveAsync(_hostname, _stopping.Token).ConfigureAwait(false), _port);
        var server = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            server.Bind(endpoint);
            server.Listen();
            return server;
        }
        catch (SocketException error)
        {
            server.Dispose();
            throw new Akka.Remote.RemoteTransportException($"Cannot listen on {endpoint}: {error.Message}", error);
        }
    }

    public override bool IsResponsibleFor(Address remote) => true;

    /// <exception cref="InvalidAssociationException">The peer cannot be reached, or is no member.</exception>
    public override async Task<AssociationHandle> Associate(Address remoteAddress)
    {
        Socket? socket = null;
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
            limit.CancelAfter(_connectMax);
            var address = await ResolveAsync(remoteAddress.Host!, limit.Token).ConfigureAwait(false);
            socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(new IPEndPoint(address, remoteAddress.Port!.Value), limit.Token)
                .ConfigureAwait(false);
            var stream = await _security.ConnectAsync(socket, limit.Token).ConfigureAwait(false);
            return Register(socket, stream, remoteAddress);
        }
        catch (Exception error) when (FrameSecurity.IsPeersFault(error))
        {
            socket?.Dispose();
            if (error is PeerRefusedException)
            {
                // Everybody else knows it under Akka's name of the protocol.
                System.EventStream.Publish(
                    new PeerRefused(remoteAddress.WithProtocol($"akka.{Scheme}"), error.Message));
            }

            throw new InvalidAssociationException($"Cannot connect to {remoteAddress}: {FrameSecurity.Say(error)}");
        }
    }

    public override async Task<bool> Shutdown()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        _server?.Dispose();
        _gate.Dispose();
        FramedConnection[] open;
        lock (_connections) open = [.. _connections];
        foreach (var connection in open.Where(connection => !connection.IsEnding)) connection.Close();
        await Task.WhenAll(open.Select(connection => connection.Closed)).ConfigureAwait(false);   // FlushMax bounds it
        return true;
    }

    private async Task AcceptAsync(Socket server)
    {
        try
        {
            // Akka wants to hear of no connection before it has said whom to tell.
            var listener = await _listener.Task.WaitAsync(_stopping.Token).ConfigureAwait(false);
            while (true)
            {
                Socket socket;
                try
                {
                    socket = await server.AcceptAsync(_stopping.Token).ConfigureAwait(false);
                }
                catch (SocketException error)
                {
                    // The peer is gone already, or this process has no more descriptors: neither ends the listening.
                    _refusals.Warn($"Cannot accept a connection: {error.Message}");
                    continue;
                }

                _gate.Admit(socket, stream => listener.Notify(new InboundAssociation(Register(
                    socket, stream, AddressOf(socket.RemoteEndPoint!, "")))));
            }
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
        {
            // The transport stops.
        }
    }

    private FramedConnection Register(Socket socket, Stream stream, Address remote)
    {
        var connection = new FramedConnection(
            AddressOf(socket.LocalEndPoint!, _hostname), remote, socket, stream,
            new FrameLimits((int)MaximumPayloadBytes, _flushMax), _refusals);
        lock (_connections) _connections.Add(connection);
        _ = ForgetAsync(connection);
        connection.Start();
        return connection;
    }

    private async Task ForgetAsync(FramedConnection connection)
    {
        await connection.Closed.ConfigureAwait(false);
        lock (_connections) _connections.Remove(connection);
    }

    private Address AddressOf(EndPoint endpoint, string hostname)
    {
        var (ip, port) = ((IPEndPoint)endpoint is var there) ? (there.Address, there.Port) : default;
        if (ip.IsIPv4MappedToIPv6) ip = ip.MapToIPv4();
        var host = hostname.Length > 0 ? hostname : ip.ToString();
        return new Address(Scheme, System.Name, host.Contains(':') && host[0] != '[' ? $"[{host}]" : host, port);
    }

    private static async Task<IPAddress> ResolveAsync(string host, CancellationToken cancel)
    {
        if (host.Length == 0) return IPAddress.Any;
        if (!IPAddress.TryParse(host.Trim('[', ']'), out var address))
        {
            var all = await Dns.GetHostAddressesAsync(host, cancel).ConfigureAwait(false);
            address = all.OrderBy(found => found.AddressFamily != AddressFamily.InterNetwork).FirstOrDefault()
                ?? throw new SocketException((int)SocketError.HostNotFound);
        }

        return address;
    }
}
