using System.Collections.Immutable;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;

namespace SpotServe.Actors.Gateway;

/// <summary>The cluster as the HTTP edge sees it. Implemented over the gateway actor, and by a fake in tests.</summary>
public interface IGenerationClient
{
    /// <summary>
    /// Accepts a request durably, or says why not. Once Accepted, it survives any failure that the cluster does.
    /// </summary>
    Task<Admission> SubmitAsync(GenerationSpec spec, CancellationToken cancel);

    /// <summary>What is known of a request besides its tokens, on whichever control node it was accepted.</summary>
    /// <exception cref="RequestUnknownException">No such request, or it was forgotten.</exception>
    /// <exception cref="RequestDamagedException">The journal's entries of it are damaged.</exception>
    /// <exception cref="RequestSilentException">It did not answer in time: it may be on its way from a lost control
    /// node to another.</exception>
    Task<RequestDescription> DescribeAsync(RequestId id, CancellationToken cancel);

    /// <summary>
    /// The request's tokens from <paramref name="fromIndex"/> on, each index once and in order; the last batch has a
    /// finish reason. Ending the enumeration early does not cancel the request.
    /// </summary>
    /// <exception cref="RequestUnknownException">No such request, or it was forgotten.</exception>
    /// <exception cref="TooManyReadersException">It takes no more readers.</exception>
    IAsyncEnumerable<TokenBatch> StreamAsync(RequestId id, int fromIndex, CancellationToken cancel);

    /// <summary>Stops a request whose client went away. Fire and forget.</summary>
    void Cancel(RequestId id);

    /// <summary>Stops a request, on whichever control node it is, and waits until its end is in the journal.</summary>
    /// <returns>How it ended; not Cancelled when that was before.</returns>
    /// <exception cref="RequestUnknownException">No such request, or it was forgotten.</exception>
    /// <exception cref="RequestSilentException">It did not answer in time.</exception>
    Task<FinishReason> CancelAsync(RequestId id, CancellationToken cancel);

    /// <summary>Requests that were accepted and have not ended, the oldest first, of all control nodes.</summary>
    /// <param name="max">Most that are given.</param>
    /// <exception cref="JournalSilentException">The journal did not answer.</exception>
    Task<OpenRequestList> ListOpenAsync(int max, CancellationToken cancel);

    /// <summary>What the cluster serves at this moment. Never waits.</summary>
    ServiceStatus Status { get; }
}

/// <summary>Outcome of submitting a request.</summary>
public abstract record Admission
{
    private Admission()
    {
    }

    /// <param name="At">When, as the journal has it.</param>
    public sealed record Accepted(RequestId Id, DateTimeOffset At) : Admission;

    /// <summary>Bounded queues are full: HTTP 429.</summary>
    public sealed record Busy(string Reason, TimeSpan RetryAfter) : Admission;

    /// <summary>No layout serves and none is expected soon: HTTP 503.</summary>
    public sealed record Unavailable(string Reason, TimeSpan RetryAfter) : Admission;

    /// <summary>It can never be served as asked (too long for the context or the cache): HTTP 400.</summary>
    public sealed record Refused(string Reason) : Admission;
}

/// <summary>What a request was accepted with.</summary>
/// <param name="Tail">What was asked for, with the last tokens of its prompt only, which its text goes on from:
/// <see cref="PromptTail"/>.</param>
public sealed record RequestDescription(DateTimeOffset At, int PromptTokens, GenerationSpec Tail)
{
    /// <summary>Tokens committed when it was asked.</summary>
    public int TokenCount { get; init; }

    /// <summary>Whether no more tokens follow.</summary>
    public bool HasEnded { get; init; }

    /// <summary>Whether it takes no more readers.</summary>
    public bool IsFull { get; init; }

    public static RequestDescription Of(DateTimeOffset at, GenerationSpec spec) =>
        new(at, spec.Prompt.Length, PromptTail.Of(spec));
}

/// <param name="IsComplete">False when there are more than were asked for.</param>
public sealed record OpenRequestList(ImmutableArray<OpenRequest> Requests, bool IsComplete);

/// <summary>A request that was accepted and has not ended.</summary>
/// <param name="Progress">Null while it does not answer: it is on its way to another control node.</param>
public sealed record OpenRequest(RequestId Id, OpenRequestProgress? Progress);

/// <param name="At">When it was accepted.</param>
/// <param name="Readers">Streams that read it now; none of one that goes on without its client.</param>
public sealed record OpenRequestProgress(DateTimeOffset At, int PromptTokens, int GeneratedTokens, int Readers);

/// <summary>Some generated tokens; Error is set when Finished is Failed.</summary>
public sealed record TokenBatch(int FirstIndex, ImmutableArray<int> Tokens, FinishReason? Finished, string? Error)
{
    /// <summary>One for each token, where the request wants them; else none.</summary>
    public ImmutableArray<TokenLogprobs> Logprobs { get; init; } = [];

    /// <summary>Tokens of the prompt that were not computed, because kept pages held them.</summary>
    public int ReusedTokens { get; init; }

    /// <summary>With the first batch from the start: of the prompt's tokens from the second on, where the request wants
    /// them.</summary>
    public ImmutableArray<TokenLogprobs> PromptLogprobs { get; init; } = [];
}

/// <summary>What is served now.</summary>
/// <param name="Serving">True while a layout is active.</param>
/// <param name="StatusLine">One line for people: the layout, or what is being waited for.</param>
public sealed record ServiceStatus(bool Serving, string StatusLine, string? ModelName, int ContextMax)
{
    public Epoch Epoch { get; init; }

    /// <summary>Why new requests cannot be written into the journal; null while they can.</summary>
    public string? JournalTrouble { get; init; }

    /// <summary>Damaged entries of the journal that were met, the first few, each with what to do.</summary>
    public IReadOnlyList<string> JournalDamages { get; init; } = [];

    /// <summary>Why the gateway cannot be relied on; null while it can.</summary>
    public string? GatewayTrouble { get; init; }

    public int OpenRequests { get; init; }

    /// <summary>Beyond it clients get 429.</summary>
    public int OpenRequestsMax { get; init; }

    /// <summary>What each replica reported last, up to about two seconds ago.</summary>
    public ImmutableArray<ReplicaControlProtocol.ReplicaLoad> Replicas { get; init; } = [];
}

/// <summary>The request is not known to the cluster.</summary>
public sealed class RequestUnknownException(RequestId id) : Exception($"Request {id} is unknown.");

/// <summary>What the journal has of the request cannot be read.</summary>
public sealed class RequestDamagedException(string message) : Exception(message);

/// <summary>The request has as many readers as it may have.</summary>
public sealed class TooManyReadersException(RequestId id)
    : Exception($"Request {id} has as many readers as it may have. Close one of them, or try again later.");

/// <summary>The journal did not say which requests are open.</summary>
public sealed class JournalSilentException(Exception inner) : Exception(
    $"The journal did not say which requests are open: {inner.Message}", inner);

/// <summary>The request's entity did not answer.</summary>
public sealed class RequestSilentException(RequestId id, TimeSpan waited) : Exception(
    $"Request {id} did not answer for {waited.TotalSeconds:0.#} s: the control node that holds it is lost or hangs.");
