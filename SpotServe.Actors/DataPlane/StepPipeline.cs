using System.Net.Sockets;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// The leader's end of a replica over its links. Plans go to ranks of this process directly and to others through a
/// writer thread each; a reader thread takes the results. A watcher sees a rank's link close even when no step runs.
/// </summary>
public sealed class StepPipeline : IStepPipeline
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(5);

    private readonly LeaderLinks _links;
    private readonly StepPlanLimits _limits;
    private readonly List<LinkWriter> _writers = [];
    private readonly int[] _sampleCounts;
    private readonly int[] _chunkCounts;
    private readonly int[] _scoredCounts;
    private readonly Thread _reader;
    private readonly Thread _watcher;
    private Action<StepResult>? _onResult;
    private Action<Exception>? _onLost;
    private byte[] _encoded = new byte[4096];
    private PeerLostException? _lost;
    private long _submitted;
    private long _completed;
    private volatile bool _stopping;

    /// <param name="links">Owned from here on.</param>
    public StepPipeline(LeaderLinks links, StepPlanLimits limits)
    {
        _links = links;
        _limits = limits;
        _sampleCounts = new int[StepsInFlightMax(links.StageCount)];
        _chunkCounts = new int[_sampleCounts.Length];
        _scoredCounts = new int[_sampleCounts.Length];
        _reader = new Thread(ReadResults) { IsBackground = true, Name = $"results-{links.Results.Key}" };
        _watcher = new Thread(Watch) { IsBackground = true, Name = $"watcher-{links.Results.Key}" };
    }

    public int StageCount => _links.StageCount;

    /// <summary>Most steps submitted and not answered, P of which run: the bound of every queue between.</summary>
    public static int StepsInFlightMax(int stageCount) => 2 * stageCount;

    public void Start(Action<StepResult> onResult, Action<Exception> onLost)
    {
        Invariant.Holds(_onResult is null);
        _onResult = onResult;
        _onLost = onLost;
        foreach (var link in _links.Plans)
        {
            if (link is InProcessLink near) near.WhenClosed(() => Lose(new PeerLostException(near.Peer, "it ended")));
            else _writers.Add(new LinkWriter(link, _sampleCounts.Length, Lose));
        }

        _reader.Start();
        _watcher.Start();
    }

    public void Submit(StepPlan plan)
    {
        Invariant.Holds(_onResult is not null);
        // The loss is on its way to the owner; nothing more can be sent, and steps are not counted any more.
        if (_stopping || Volatile.Read(ref _lost) is not null) return;
        Invariant.Holds(plan.StepId == _submitted + 1);
        Invariant.Holds(plan.StepId - Volatile.Read(ref _completed) <= _sampleCounts.Length);
        Invariant.Holds(plan.Chunks.Length >= 1 && plan.Chunks.Length <= _limits.SequencesMax);
        Invariant.Holds(plan.TokenCount <= _limits.StepTokensMax);

        var length = StepPlanCodec.EncodedBytes(plan);
        if (length > _encoded.Length) _encoded = new byte[2 * length];
        var encoded = _encoded.AsSpan(0, length);
        StepPlanCodec.Encode(plan, encoded);
        _sampleCounts[plan.StepId % _sampleCounts.Length] = plan.SampleCount;
        _chunkCounts[plan.StepId % _chunkCounts.Length] = plan.Chunks.Length;
        _scoredCounts[plan.StepId % _scoredCounts.Length] = plan.ScoredRows.Length;
        Volatile.Write(ref _submitted, plan.StepId);
        // Remote ranks first: their plans have the longer way.
        foreach (var writer in _writers) writer.Write(plan.StepId, encoded);
        try
        {
            foreach (var link in _links.Plans)
            {
                if (link is InProcessLink) link.Send(FrameKind.Plan, plan.StepId, encoded);
            }
        }
        catch (PeerLostException error)
        {
            Lose(error);
        }
    }

    /// <summary>Closes the links and ends the threads. No callback begins after it returns, unless it is called from
    /// one.</summary>
    public void Dispose()
    {
        _stopping = true;
        CloseAll();
        if (_onResult is null) return;
        if (Thread.CurrentThread != _reader) _reader.Join(StopTimeout);
        _watcher.Join(StopTimeout);
    }

    private void ReadResults()
    {
        try
        {
            for (long step = 1; ; step++) ReadResult(step);
        }
        catch (PeerLostException error)
        {
            // Whoever noticed first knows the cause; closing the other links is what woke this thread.
            Interlocked.CompareExchange(ref _lost, error, null);
            CloseAll();
        }

        if (!_stopping) _onLost!(_lost);
    }

    private void ReadResult(long step)
    {
        var link = _links.Results;
        var frame = link.ReceiveHeader();
        if (step > Volatile.Read(ref _submitted))
        {
            throw link.Lost($"it sent a result of step {step}, which was not submitted");
        }

        if (frame.Kind == FrameKind.StepFailed)
        {
            var failure = link.ReceiveFailure(frame, step, _chunkCounts[step % _chunkCounts.Length]);
            Tell(new StepResult(step, []) { Failure = failure });
            return;
        }

        var sampleCount = _sampleCounts[step % _sampleCounts.Length];
        var scoredCount = _scoredCounts[step % _scoredCounts.Length];
        link.Check(frame, FrameKind.Tokens, step, StepDrawsCodec.BytesMax(sampleCount, scoredCount));
        if (frame.PayloadBytes < sizeof(int) * sampleCount)
        {
            throw link.Lost($"it sent {frame.PayloadBytes} bytes for {sampleCount} tokens of step {step}");
        }

        var payload = new byte[frame.PayloadBytes];
        link.ReceivePayload(payload);
        var violation = StepDrawsCodec.Decode(
            payload, step, sampleCount, scoredCount, _limits.VocabularySize, out var result);
        if (violation is not null) throw link.Lost($"it sent {violation} in step {step}");
        Tell(result!);
    }

    private void Tell(StepResult result)
    {
        Volatile.Write(ref _completed, result.StepId);
        if (!_stopping) _onResult!(result);
    }

    /// <summary>Ranks send nothing on their plan links, so one that becomes readable has been closed.</summary>
    private void Watch()
    {
        var links = _links.Plans.OfType<SocketLink>().ToList();
        if (links.Count == 0) return;
        try
        {
            List<Socket> readable = [.. links.Select(link => link.Socket)];
            Socket.Select(readable, null, null, Timeout.InfiniteTimeSpan);
            var gone = links.First(link => readable.Contains(link.Socket));
            Lose(gone.Lost($"it closed {gone.Key}"));
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // Closed on this side: whoever did knows why.
        }
    }

    private void Lose(PeerLostException error)
    {
        Interlocked.CompareExchange(ref _lost, error, null);
        CloseAll();
    }

    private void CloseAll()
    {
        foreach (var writer in _writers) writer.Close();
        _links.Dispose();
    }
}
