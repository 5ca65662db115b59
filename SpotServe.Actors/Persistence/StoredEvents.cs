using System.Diagnostics;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Requests;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// The stored forms of SpotServe's events. Their names and values are a contract with every database out there; golden
/// files in the tests hold them fast.
/// </summary>
public static class StoredEvents
{
    public static JournalSchema Schema { get; } = new JournalSchema.Builder()
        .Writes<RequestEvents.RequestAccepted, RequestAcceptedV1>("request-accepted.1", RequestAcceptedV1.Of)
        .Writes<RequestEvents.TokensCommitted, TokensCommittedV1>("tokens-committed.1", TokensCommittedV1.Of)
        .Writes<RequestEvents.RequestFinished, RequestFinishedV1>("request-finished.1", RequestFinishedV1.Of)
        .Writes<PlannerEvents.LayoutDecided, LayoutDecidedV1>("layout-decided.1", LayoutDecidedV1.Of)
        .Writes<PlannerEvents.LayoutActivated, LayoutActivatedV1>("layout-activated.1", LayoutActivatedV1.Of)
        .Build();

    private sealed record RequestAcceptedV1(
        string Id, DateTimeOffset At, string Prompt, int TokensMax, float Temperature, float TopP, int TopK, ulong Seed,
        string StopTokens) : IJournalForm
    {
        public static RequestAcceptedV1 Of(RequestEvents.RequestAccepted e) => new(
            e.Id.Value, e.At, TokenText.Write(e.Prompt), e.Parameters.TokensMax, e.Parameters.Sampling.Temperature,
            e.Parameters.Sampling.TopP, e.Parameters.Sampling.TopK, e.Parameters.Sampling.Seed,
            TokenText.Write(e.Parameters.StopTokens));

        public object ToEvent() => new RequestEvents.RequestAccepted(
            new RequestId(Id), At, TokenText.Read(Prompt), new GenerationParameters(
                TokensMax, new SamplingParameters(Temperature, TopP, TopK, Seed), TokenText.Read(StopTokens)));
    }

    private sealed record TokensCommittedV1(string Id, int FirstIndex, string Tokens) : IJournalForm
    {
        public static TokensCommittedV1 Of(RequestEvents.TokensCommitted e) =>
            new(e.Id.Value, e.FirstIndex, TokenText.Write(e.Tokens));

        public object ToEvent() =>
            new RequestEvents.TokensCommitted(new RequestId(Id), FirstIndex, TokenText.Read(Tokens));
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
            _ => throw new UnreachableException(),
        };

        private static FinishReason ReasonOf(string name) => name switch
        {
            "stop" => FinishReason.Stop,
            "length" => FinishReason.Length,
            "cancelled" => FinishReason.Cancelled,
            "failed" => FinishReason.Failed,
            _ => throw new JournalFormatException(
                $"Journal entry 'request-finished.1' has the unknown reason '{name}'."),
        };
    }

    private sealed record LayersV1(int First, int End);

    private sealed record DeviceV1(string Node, int Index);

    private sealed record LayoutDecidedV1(
        long Epoch, DateTimeOffset At, string Cause, int Replicas, int Stages, int Ranks, int BatchSize,
        LayersV1[] StageLayers, DeviceV1[] Placement) : IJournalForm
    {
        public static LayoutDecidedV1 Of(PlannerEvents.LayoutDecided e) => new(
            e.Epoch.Value, e.At, e.Cause, e.Layout.Degrees.Replicas, e.Layout.Degrees.Stages, e.Layout.Degrees.Ranks,
            e.Layout.Degrees.BatchSize, [.. e.Layout.StageLayers.Select(l => new LayersV1(l.First, l.End))],
            [.. e.Layout.Placement.Select(d => new DeviceV1(d.Node, d.Index))]);

        public object ToEvent() => new PlannerEvents.LayoutDecided(
            new Epoch(Epoch), At, Cause, new Layout(
                new LayoutDegrees(Replicas, Stages, Ranks, BatchSize),
                [.. StageLayers.Select(l => new LayerRange(l.First, l.End))],
                [.. Placement.Select(d => new DeviceId(d.Node, d.Index))]));
    }

    private sealed record LayoutActivatedV1(long Epoch, DateTimeOffset At) : IJournalForm
    {
        public static LayoutActivatedV1 Of(PlannerEvents.LayoutActivated e) => new(e.Epoch.Value, e.At);

        public object ToEvent() => new PlannerEvents.LayoutActivated(new Epoch(Epoch), At);
    }
}
