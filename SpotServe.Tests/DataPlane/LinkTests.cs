using System.Buffers.Binary;
using System.Net.Sockets;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class LinkTests
{
    private static readonly TimeSpan Patience = PatientTestKit.Patience;

    public static TheoryData<bool> Kinds => [true, false];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Frames_arrive_whole_and_in_order_when_sizes_lie_around_the_buffers(bool tcp)
    {
        int[] sizes = [0, 1, 24, 16_359, 16_360, 16_361, 16_384, 70_000, 3, 5_000_000, 0, 9];
        var (from, to) = Pair(tcp);
        using var _ = from;
        using var __ = to;

        var sending = Task.Factory.StartNew(
            () =>
            {
                for (var i = 0; i < sizes.Length; i++) from.Send(FrameKind.Activations, i, Payload(sizes[i], i));
            },
            TestContext.Current.CancellationToken,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);

        for (var i = 0; i < sizes.Length; i++)
        {
            var received = new byte[sizes[i]];
            to.Receive(FrameKind.Activations, i, received);
            Assert.True(received.AsSpan().SequenceEqual(Payload(sizes[i], i)), $"frame {i} of {sizes[i]} bytes");
        }

        await sending;
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Blocked_receive_ends_at_once_when_the_link_is_disposed_on_this_side(bool tcp)
    {
        var (from, to) = Pair(tcp);
        using var _ = from;
        var receiving = StartThread(() => to.ReceiveHeader(FrameKind.Activations, 1, 100));
        await receiving.Begun;

        to.Dispose();

        await AssertLost(receiving.Ended);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Blocked_receive_ends_at_once_when_the_peer_closes(bool tcp)
    {
        var (from, to) = Pair(tcp);
        using var _ = to;
        var receiving = StartThread(() => to.ReceiveHeader(FrameKind.Activations, 1, 100));
        await receiving.Begun;

        from.Dispose();

        await AssertLost(receiving.Ended);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Blocked_send_ends_at_once_when_the_link_is_disposed_on_this_side(bool tcp)
    {
        var (from, to) = Pair(tcp);
        using var _ = to;
        // More than any kernel buffers.
        var payload = new byte[64 << 20];
        var sending = StartThread(() =>
        {
            for (var step = 0; ; step++) from.Send(FrameKind.Activations, step, payload);
        });
        await sending.Begun;

        from.Dispose();

        await AssertLost(sending.Ended);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Receive_names_peer_and_violation_when_the_frame_is_not_the_one_due(bool tcp)
    {
        AssertViolation(tcp, link => link.Send(FrameKind.Tokens, 5, new byte[8]), "kind");
        AssertViolation(tcp, link => link.Send(FrameKind.Activations, 6, new byte[8]), "step 6 where 5 was due");
        AssertViolation(tcp, link => link.Send(FrameKind.Activations, 5, new byte[9]), "9 bytes; the limit is 8");
        AssertViolation(tcp, link => link.Send(FrameKind.Activations, 5, new byte[7]), "7 bytes");
    }

    [Theory]
    [InlineData(0, 0x41, "not a frame")]
    [InlineData(2, 0xee, "kind 238")]
    [InlineData(3, 1, "flags 1")]
    [InlineData(7, 0x80, "the limit is 8")]
    [InlineData(7, 0x7f, "the limit is 8")]
    [InlineData(8, 4, "epoch e4")]
    [InlineData(16, 9, "step 9")]
    public void Receive_refuses_a_frame_when_a_header_byte_is_wrong(int at, byte value, string violation)
    {
        var (one, other) = LinkPairs.Sockets();
        using var _ = one;
        using var link = new SocketLink(new ProvenSocket(other), LinkPairs.Key, "the hostile peer");
        var frame = new byte[32];
        BinaryPrimitives.WriteUInt16LittleEndian(frame, 0x5353);
        frame[2] = (byte)FrameKind.Activations;
        frame[4] = 8;
        frame[8] = 3;
        frame[16] = 5;
        frame[at] = value;

        one.Send(frame);

        var error = Assert.Throws<PeerLostException>(() => link.Receive(FrameKind.Activations, 5, new byte[8]));
        Assert.Equal("the hostile peer", error.Peer);
        Assert.Contains(violation, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Receive_loses_the_peer_when_the_stream_ends_within_a_frame()
    {
        var (one, other) = LinkPairs.Sockets();
        using var link = new SocketLink(new ProvenSocket(other), LinkPairs.Key, "the peer");

        one.Send(new byte[10]);
        one.Dispose();

        Assert.Throws<PeerLostException>(() => link.ReceiveHeader(FrameKind.Activations, 5, 8));
    }

    [Fact]
    public void Warm_link_allocates_nothing_when_it_sends_and_receives()
    {
        var (from, to) = LinkPairs.Tcp();
        using var _ = from;
        using var __ = to;
        var payload = new byte[40_000];
        Exchange(20);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Exchange(200);

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Exchange(int count)
        {
            for (var i = 0; i < count; i++)
            {
                from.Send(FrameKind.Activations, i, payload);
                to.Receive(FrameKind.Activations, i, payload);
            }
        }
    }

    [Fact]
    public void Sockets_block_in_the_kernel_when_links_were_opened_by_dialling_and_accepting()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        using var listener = new DataPlaneListener(ListenerTests.Options(), TimeProvider.System);
        var (dialled, accepted) = ListenerTests.Connect(listener, LinkPairs.Key);
        using var _ = dialled;
        using var __ = accepted;

        Assert.Equal((false, false), (IsNonBlocking(dialled.Socket), IsNonBlocking(accepted.Socket)));

        static bool IsNonBlocking(Socket socket)
        {
            var flags = File.ReadLines($"/proc/self/fdinfo/{socket.Handle}")
                .First(line => line.StartsWith("flags", StringComparison.Ordinal));
            const int NonBlocking = 0x800;
            return (Convert.ToInt32(flags.Split('\t')[1], 8) & NonBlocking) != 0;
        }
    }

    private static void AssertViolation(bool tcp, Action<ILink> send, string violation)
    {
        var (from, to) = Pair(tcp);
        using var _ = from;
        using var __ = to;
        send(from);
        var error = Assert.Throws<PeerLostException>(() => to.Receive(FrameKind.Activations, 5, new byte[8]));
        Assert.Equal(to.Peer, error.Peer);
        Assert.Contains(violation, error.Message, StringComparison.Ordinal);
    }

    private static Task<PeerLostException> AssertLost(Task ended) => Assert.ThrowsAsync<PeerLostException>(() =>
        ended.WaitAsync(Patience, TestContext.Current.CancellationToken));

    private static (ILink From, ILink To) Pair(bool tcp) =>
        tcp ? LinkPairs.Tcp() : InProcessLink.Pair(LinkPairs.Key, 4);

    private static byte[] Payload(int size, int seed)
    {
        var bytes = new byte[size];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Runs on a thread. The caller acts as soon as it has begun: whether the call waits already or is about
    /// to, it must end.</summary>
    private static (Task Begun, Task Ended) StartThread(Action action)
    {
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            begun.SetResult();
            try
            {
                action();
                ended.SetResult();
            }
            catch (PeerLostException error)
            {
                ended.SetException(error);
            }
        });
        thread.Start();
        return (begun.Task, ended.Task);
    }
}
