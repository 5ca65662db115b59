using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using SpotServe.Actors.DataPlane;
using Xunit;

namespace SpotServe.Tests.DataPlane;

/// <summary>A peer of a data plane that does what a test makes it do, step by step.</summary>
internal sealed class RawPeer : IDisposable
{
    private readonly byte[] _challenge = new byte[Handshake.HelloBytes];

    public RawPeer(IPEndPoint endpoint, bool isEncrypted = false)
    {
        Socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        Socket.Connect(endpoint);
        Handshake.WriteHello(Hello, RandomNumberGenerator.GetBytes(Handshake.NonceBytes), isEncrypted);
    }

    public Socket Socket { get; }

    public byte[] Hello { get; } = new byte[Handshake.HelloBytes];

    public byte[] Proof { get; } = new byte[Handshake.ProofBytes];

    public async Task SendHelloAsync(byte[] hello)
    {
        await SendAsync(hello);
        await ReceiveAsync(_challenge);
    }

    public async Task ProveAsync(LinkKey key, string secret)
    {
        await SendHelloAsync(Hello);
        Handshake.WriteProof(Proof, key, new ClusterSecret(secret), Hello, _challenge);
        await SendAsync(Proof);
    }

    public async Task<(HandshakeStatus Status, string Reason)> ReplyAsync()
    {
        var head = new byte[Handshake.ReplyHeadBytes];
        await ReceiveAsync(head);
        var reason = new byte[head[1]];
        await ReceiveAsync(reason);
        return ((HandshakeStatus)head[0], Encoding.UTF8.GetString(reason));
    }

    public async Task SendAsync(byte[] bytes) => await Socket.SendAsync(bytes, ListenerTests.Deadline().Token);

    public async Task<bool> IsClosedAsync()
    {
        try
        {
            var bytes = new byte[64];
            while (await Socket.ReceiveAsync(bytes, ListenerTests.Deadline().Token) > 0)
            {
            }

            return true;
        }
        catch (SocketException)
        {
            return true;
        }
    }

    public void Dispose() => Socket.Dispose();

    private async Task ReceiveAsync(byte[] bytes)
    {
        for (var at = 0; at < bytes.Length;)
        {
            var count = await Socket.ReceiveAsync(bytes.AsMemory(at), ListenerTests.Deadline().Token);
            Assert.True(count > 0, "the listener closed the connection");
            at += count;
        }
    }
}
