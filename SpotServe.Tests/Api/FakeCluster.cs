using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using SpotServe.Actors.Gateway;

namespace SpotServe.Tests.Api;

/// <summary>What the API submitted.</summary>
internal sealed record Submission(RequestId Id, GenerationSpec Spec)
{
    public ImmutableArray<int> Prompt => Spec.Prompt;

    public GenerationParameters Parameters => Spec.Parameters;
}

/// <summary>A cluster whose tokens a test scripts or feeds by hand. Remembers what the API asked of it.</summary>
internal sealed class FakeCluster : IGenerationClient
{
    private readonly ConcurrentDictionary<RequestId, Channel<TokenBatch>> _live = [];
    private readonly ConcurrentDictionary<RequestId, ImmutableArray<TokenBatch>> _past = [];
    private readonly Channel<RequestId> _cancelled = Channel.CreateUnbounded<RequestId>();
    private int _ids;

    /// <summary>What requests asked for that a test made up.</summary>
    private static readonly GenerationSpec Unsubmitted =
        new([1], new GenerationParameters(16, SamplingParameters.Greedy, []));

    public ServiceStatus Status { get; set; } = new(true, "layout (1,4,1) on 4 nodes", "tinystories-4m", 1024);

    public FakeOperator Operator { get; } = new();

    /// <summary>When every request was accepted.</summary>
    public DateTimeOffset AcceptedAt { get; } = new(2026, 11, 24, 13, 14, 15, TimeSpan.Zero);

    /// <summary>Whether requests do not answer, as those of a lost control node.</summary>
    public bool IsSilent { get; set; }

    /// <summary>Whether requests take no more readers.</summary>
    public bool IsFull { get; set; }

    /// <summary>What the next submissions are answered; null accepts them.</summary>
    public Admission? Answer { get; set; }

    /// <summary>The tokens of the next accepted requests; null leaves them to <see cref="Feed"/>.</summary>
    public ImmutableArray<TokenBatch>? Script { get; set; }

    public ConcurrentQueue<Submission> Submitted { get; } = [];

    public Submission Last => Submitted.Last();

    public Task<Admission> SubmitAsync(GenerationSpec spec, CancellationToken cancel)
    {
        if (Answer is { } answer) return Task.FromResult(answer);
        var id = new RequestId($"cmpl-{Interlocked.Increment(ref _ids)}");
        if (Script is { } script) _past[id] = script;
        else _live[id] = Channel.CreateUnbounded<TokenBatch>();
        Submitted.Enqueue(new Submission(id, spec));
        return Task.FromResult<Admission>(new Admission.Accepted(id, AcceptedAt));
    }

    public Task<RequestDescription> DescribeAsync(RequestId id, CancellationToken cancel)
    {
        if (IsSilent) throw new RequestSilentException(id, TimeSpan.FromSeconds(20));
        var known = Submitted.FirstOrDefault(one => one.Id == id);
        if (known is null && !_past.ContainsKey(id)) throw new RequestUnknownException(id);
        if (known is null) return Task.FromResult(RequestDescription.Of(AcceptedAt, Unsubmitted));
        var past = _past.GetValueOrDefault(id, []);
        return Task.FromResult(RequestDescription.Of(AcceptedAt, known.Spec) with
        {
            TokenCount = past.Sum(batch => batch.Tokens.Length),
            HasEnded = past.Any(batch => batch.Finished is not null),
            IsFull = IsFull,
        });
    }

    public async IAsyncEnumerable<TokenBatch> StreamAsync(
        RequestId id, int fromIndex, [EnumeratorCancellation] CancellationToken cancel)
    {
        await Task.Yield();
        if (_past.TryGetValue(id, out var script))
        {
            foreach (var batch in script) yield return batch;
        }
        else if (_live.TryGetValue(id, out var live))
        {
            await foreach (var batch in live.Reader.ReadAllAsync(cancel)) yield return batch;
        }
        else
        {
            throw new RequestUnknownException(id);
        }
    }

    public void Cancel(RequestId id) => _cancelled.Writer.TryWrite(id);

    /// <summary>How a request that is to be cancelled has ended.</summary>
    public FinishReason Ending { get; set; } = FinishReason.Cancelled;

    /// <summary>What <see cref="ListOpenAsync"/> answers with; null lets it fail.</summary>
    public ImmutableArray<OpenRequest>? Open { get; set; } = [];

    public async Task<FinishReason> CancelAsync(RequestId id, CancellationToken cancel)
    {
        await DescribeAsync(id, cancel);
        Cancel(id);
        return Ending;
    }

    public Task<OpenRequestList> ListOpenAsync(int max, CancellationToken cancel) => Open is { } open
        ? Task.FromResult(new OpenRequestList([.. open.Take(max)], open.Length <= max))
        : throw new JournalSilentException(new TimeoutException("the test says so"));

    public void Feed(RequestId id, TokenBatch batch) => Assert(_live[id].Writer.TryWrite(batch));

    /// <summary>From now on readers of a fed request find these tokens.</summary>
    public void Finish(RequestId id, ImmutableArray<TokenBatch> batches) => _past[id] = batches;

    /// <summary>Ends a fed request's tokens with an exception.</summary>
    public void Break(RequestId id, Exception error) => Assert(_live[id].Writer.TryComplete(error));

    /// <summary>The next request that the API cancels.</summary>
    public async Task<RequestId> NextCancelledAsync(CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(PatientTestKit.Patience);
        return await _cancelled.Reader.ReadAsync(limit.Token);
    }

    public bool NothingCancelled => !_cancelled.Reader.TryPeek(out _);

    /// <summary>All tokens at once, one to a batch, then the end.</summary>
    public static ImmutableArray<TokenBatch> Tokens(IEnumerable<int> ids, FinishReason finish = FinishReason.Length)
    {
        var batches = ids.Select((id, i) => new TokenBatch(i, [id], null, null)).ToList();
        return [.. batches, new TokenBatch(batches.Count, [], finish, null)];
    }

    private static void Assert(bool done) => Xunit.Assert.True(done);
}
