using System.Collections.Immutable;

namespace SpotServe.Actors.Simulation;

/// <summary>The requests of a recording, as they came and as they were answered.</summary>
internal sealed class RecordedRequests
{
    public RecordedRequests(Recording recording)
    {
        var ends = new Dictionary<long, RecordedEntry.Ended>();
        foreach (var ended in recording.Entries.OfType<RecordedEntry.Ended>()) ends.TryAdd(ended.Request, ended);
        var arrived = recording.Entries.OfType<RecordedEntry.Arrived>().ToList();
        // One that has no end, or gave no token, is taken to have wanted what it asked for.
        Arrivals = [.. arrived.Select(request => new Arrival(
            request.Seconds,
            Math.Max(1, request.PromptTokens),
            ends.GetValueOrDefault(request.Request)?.OutputTokens is > 0 and var tokens
                ? tokens
                : Math.Max(1, request.OutputTokensMax)))];
        Answered = [.. from request in arrived
                       let end = ends.GetValueOrDefault(request.Request)
                       where end is { OutputTokens: > 0 } && end.Seconds >= request.Seconds
                       select new Answer(
                           request.Seconds, end.FirstSeconds, end.Seconds, Math.Max(1, request.PromptTokens),
                           end.OutputTokens)];
    }

    /// <summary>By rising time.</summary>
    public ImmutableArray<Arrival> Arrivals { get; }

    public ImmutableArray<Answer> Answered { get; }

    /// <param name="First">Null where nobody looked.</param>
    public readonly record struct Answer(
        double Arrived, double? First, double Last, int PromptTokens, int OutputTokens);
}
