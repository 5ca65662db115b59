using System.Net;
using System.Net.Sockets;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;

namespace SpotServe.Tests.DataPlane;

/// <summary>Links and groups without a layout around them.</summary>
internal static class LinkPairs
{
    public static readonly LinkKey Key =
        new(new Epoch(3), LinkKind.Activations, new Position(0, 0, 0), new Position(0, 1, 0));

    /// <summary>Two connected sockets on loopback.</summary>
    public static (Socket One, Socket Other) Sockets()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        var one = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        one.Connect(listener.LocalEndPoint!);
        return (one, listener.Accept());
    }

    public static (SocketLink From, SocketLink To) Tcp()
    {
        var (one, other) = Sockets();
        return (
            new SocketLink(new ProvenSocket(one), Key, "the to end"),
            new SocketLink(new ProvenSocket(other), Key, "the from end"));
    }

    /// <summary>The collectives of all ranks of one stage, over sockets.</summary>
    public static ICollective[] TcpRanks(int rankCount, int wholeBytesMax)
    {
        var links = new SocketLink?[rankCount, rankCount];
        for (var i = 0; i < rankCount; i++)
        {
            for (var j = i + 1; j < rankCount; j++)
            {
                var (one, other) = Sockets();
                Xunit.Assert.Null(TcpCollective.PrepareSocket(one) ?? TcpCollective.PrepareSocket(other));
                links[i, j] = new SocketLink(new ProvenSocket(one), Key, $"rank {j}");
                links[j, i] = new SocketLink(new ProvenSocket(other), Key, $"rank {i}");
            }
        }

        return [.. Enumerable.Range(0, rankCount).Select(rank => new TcpCollective(
            rank, [.. Enumerable.Range(0, rankCount).Select(other => links[rank, other])], wholeBytesMax))];
    }

    public static ICollective[] SharedRanks(int rankCount)
    {
        var group = new SharedMemoryGroup(rankCount);
        return [.. Enumerable.Range(0, rankCount).Select(group.Join)];
    }

    /// <summary>Runs each rank's part on a thread of its own; what one throws is rethrown.</summary>
    public static void OnAllRanks(ICollective[] ranks, Action<ICollective> part)
    {
        var errors = new Exception?[ranks.Length];
        var threads = ranks.Select(rank => new Thread(() =>
        {
            try
            {
                part(rank);
            }
#pragma warning disable CA1031 // Carried to the test's own thread.
            catch (Exception error)
#pragma warning restore CA1031
            {
                errors[rank.Rank] = error;
                rank.Dispose();
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => Xunit.Assert.True(thread.Join(Waits.Max), "waited for a rank"));
        foreach (var error in errors)
        {
            if (error is not null) throw new InvalidOperationException("A rank failed.", error);
        }
    }
}
