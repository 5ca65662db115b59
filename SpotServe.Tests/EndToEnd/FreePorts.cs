using System.Net;
using System.Net.Sockets;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>Ports for processes that have to be told theirs, on 127.0.0.1.</summary>
internal static class FreePorts
{
    /// <summary>All ports of here on are below 32,768, where those begin that the system gives to outgoing connections:
    /// one of these could take a port between its choice and its use.</summary>
    private const int First = 20_000;
    private const int Count = 12_000;

    /// <summary>Test processes that run beside each other begin at different ports.</summary>
    private static int _taken = Environment.ProcessId * 16;

    /// <summary>Different ones with each call, free at the moment.</summary>
    public static int[] Take(int count)
    {
        List<int> ports = [];
        for (var tried = 0; ports.Count < count; tried++)
        {
            Assert.True(tried < Count, $"no {count} ports are free from {First} on");
            var port = First + ((Interlocked.Increment(ref _taken) & int.MaxValue) % Count);
            if (IsFree(port)) ports.Add(port);
        }

        return [.. ports];
    }

    private static bool IsFree(int port)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
