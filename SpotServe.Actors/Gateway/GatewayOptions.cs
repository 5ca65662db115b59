using SpotServe.Actors.Fragments;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Serialization;

namespace SpotServe.Actors.Gateway;

/// <summary>Bounds of what a gateway lets in.</summary>
public sealed record GatewayOptions
{
    /// <summary>A megabyte is left for stop strings, stop tokens and pages' ids.</summary>
    private const int DeliverableTokensMax = (FragmentLimits.MessageBytesMax - (1 << 20)) / Varint.BytesMax;

    /// <summary>128 requests of a context of 131,072 tokens.</summary>
    public const long WaitingTokensDefault = 1L << 24;

    public const long WaitingTokensLimit = 1L << 36;

    /// <summary>Most requests that are accepted and not ended, per gateway; beyond it clients get 429.</summary>
    public int OpenRequestsMax
    {
        get;
        init => field = Bounds.Between(value, 1, 65_536);
    } = 1024;

    /// <summary>Most tokens of requests that have no token yet, prompt and longest completion together, per gateway;
    /// beyond it clients get 429. A request that is alone is let in whatever its length.</summary>
    public long WaitingTokensMax
    {
        get;
        init => field = Bounds.Between(value, 1, WaitingTokensLimit);
    } = WaitingTokensDefault;

    /// <summary>While it is in trouble, new requests are refused at once.</summary>
    public JournalHealth Journal { get; init; } = new();

    /// <summary>Most tokens of a prompt and its completion together: what a message can hold, whatever their
    /// ids.</summary>
    public int TokensMax
    {
        get;
        init => field = Bounds.Between(value, 1, DeliverableTokensMax);
    } = DeliverableTokensMax;

    /// <summary>A request that is not in the journal after this long is answered with 503.</summary>
    public TimeSpan AcceptTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Longest wait for what is known of a request: longer than the cluster takes to move it off a lost control node.
    /// </summary>
    public TimeSpan DescribeTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Without a layout for this long, new requests are refused instead of queued.</summary>
    public TimeSpan UnservedMax { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>The load that the planner hears of is the mean of this time.</summary>
    public TimeSpan LoadWindow { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Names a new request by the time of its coming, and by its kind as OpenAI's clients expect; simulations
    /// have names that repeat.</summary>
    public Func<DateTimeOffset, CompletionKind, RequestId> NewId { get; init; } = (now, kind) =>
        new RequestId($"{(kind == CompletionKind.Chat ? "chatcmpl" : "cmpl")}-{Guid.CreateVersion7(now):N}");
}
