using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>Sends plans over one link from a thread of its own: the network never holds up the scheduler.</summary>
internal sealed class LinkWriter
{
    private readonly ILink _link;
    private readonly Action<PeerLostException> _lost;
    private readonly FrameQueue _queue;
    private readonly Thread _thread;

    /// <param name="framesMax">Frames that can wait. The caller has no more in flight, so it never waits.</param>
    /// <param name="lost">The link broke; from the writer's thread.</param>
    public LinkWriter(ILink link, int framesMax, Action<PeerLostException> lost)
    {
        _link = link;
        _lost = lost;
        _queue = new FrameQueue(framesMax);
        _thread = new Thread(Run) { IsBackground = true, Name = $"writer-{link.Key}" };
        _thread.Start();
    }

    /// <summary>Copies the frame; false when closed.</summary>
    public bool Write(long step, ReadOnlySpan<byte> payload) =>
        _queue.Write(new FrameHeader(FrameKind.Plan, payload.Length, _link.Key.Epoch, step), payload);

    /// <summary>Ends the thread; the link must be closed too, by its owner.</summary>
    public void Close() => _queue.Close();

    private void Run()
    {
        var payload = Array.Empty<byte>();
        while (_queue.Peek(out var header))
        {
            if (payload.Length < header.PayloadBytes) payload = new byte[2 * header.PayloadBytes];
            var bytes = payload.AsSpan(0, header.PayloadBytes);
            _queue.Take(bytes);
            try
            {
                _link.Send(header.Kind, header.Step, bytes);
            }
            catch (PeerLostException error)
            {
                _lost(error);
                return;
            }
        }
    }
}
