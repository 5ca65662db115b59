using System.Diagnostics;
using SpotServe.Actors.Requests;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// The stored forms of SpotServe's events. Their names and values are a contract with every database out there; golden
/// files in the tests hold them fast.
/// </summary>
internal static class StoredEvents
{
    public static JournalSchema Schema { get; } = new JournalSchema.Builder()
        .Reads<RequestAcceptedV1>("request-accepted.1")
        .Reads<RequestAcceptedV2>("request-accepted.2")
        .Writes<RequestEvents.RequestAccepted, RequestAcceptedV3>("request-accepted.3", RequestAcceptedV3.Of)
        .Reads<TokensCommittedV1>("tokens-committed.1")
        .Writes<RequestEvents.TokensCommitted, TokensCommittedV2>("tokens-committed.2", TokensCommittedV2.Of)
        .Writes<RequestEvents.LossCounted, LossCountedV1>("loss-counted.1", LossCountedV1.Of)
        .Writes<RequestEvents.TriedAlone, TriedAloneV1>("tried-alone.1", e => new(e.Id.Value, e.At))
        .Writes<RequestEvents.RequestFinished, RequestFinishedV1>("request-finished.1", RequestFinishedV1.Of)
        .WritesPlannerEvents()
        .WritesFleetEvents()
        .Build();

    private sealed record TokensCommittedV1(string Id, int FirstIndex, string Tokens) : IJournalForm
    {
        public object ToEvent() => new TokensCommittedV2(Id, FirstIndex, Tokens).ToEvent();
    }

    /// <param name="Logprobs">Left out where the request wants none.</param>
    /// <param name="Reused">Left out where it is none.</param>
    /// <param name="PromptLogprobs">With the first tokens, where the request wants them.</param>
    private sealed record TokensCommittedV2(
        string Id, int FirstIndex, string Tokens, string? Logprobs = null, int? Reused = null,
        string? PromptLogprobs = null) : IJournalForm
    {
        public static TokensCommittedV2 Of(RequestEvents.TokensCommitted e) => new(
            e.Id.Value, e.FirstIndex, TokenText.Write(e.Tokens),
            e.Logprobs.IsEmpty ? null : LogprobText.Write(e.Logprobs), e.ReusedTokens > 0 ? e.ReusedTokens : null,
            e.PromptLogprobs.IsEmpty ? null : LogprobText.Write(e.PromptLogprobs, ranked: true));

        public object ToEvent() =>
            new RequestEvents.TokensCommitted(new RequestId(Id), FirstIndex, TokenText.Read(Tokens))
            {
                Logprobs = Logprobs is null ? [] : LogprobText.Read(Logprobs),
                ReusedTokens = Reused ?? 0,
                PromptLogprobs = PromptLogprobs is null ? [] : LogprobText.Read(PromptLogprobs, ranked: true),
            };
    }

    /// <param name="Together">True, or absent.</param>
    private sealed record LossCountedV1(string Id, DateTimeOffset At, bool? Together = null) : IJournalForm
    {
        public static LossCountedV1 Of(RequestEvents.LossCounted e) =>
            new(e.Id.Value, e.At, e.WasTogether ? true : null);

        public object ToEvent() => new RequestEvents.LossCounted(new RequestId(Id), At, Together ?? false);
    }

    private sealed record TriedAloneV1(string Id, DateTimeOffset At) : IJournalForm
    {
        public object ToEvent() => new RequestEvents.TriedAlone(new RequestId(Id), At);
    }

    private sealed record RequestFinishedV1(string Id, string Reason, DateTimeOffset At, string? Error = null)
        : IJournalForm
    {
        public static RequestFinishedV1 Of(RequestEvents.RequestFinished e) =>
            new(e.Id.Value, NameOf(e.Reason), e.At, e.Error);

        public object ToEvent() => new RequestEvents.RequestFinished(new RequestId(Id), ReasonOf(Reason), Error, At);

        // Spelled out, so that renaming the enum's members does not change what is stored.
        private static string NameOf(FinishReason reason) => reason switch
        {
            FinishReason.Stop => "stop",
            FinishReason.Length => "length",
            FinishReason.Cancelled => "cancelled",
            FinishReason.Failed => "failed",
            FinishReason.TimedOut => "timed-out",
            _ => throw new UnreachableException(),
        };

        private static FinishReason ReasonOf(string name) => name switch
        {
            "stop" => FinishReason.Stop,
            "length" => FinishReason.Length,
            "cancelled" => FinishReason.Cancelled,
            "failed" => FinishReason.Failed,
            "timed-out" => FinishReason.TimedOut,
            _ => throw new JournalFormatException(
                $"Journal entry 'request-finished.1' has the unknown reason '{name}'."),
        };
    }
}
