using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Node.Preemption.Clouds;

/// <summary>
/// Azure's Scheduled Events. A spot machine's end is an event of type Preempt, some 30 s before; Terminate, Reboot and
/// Redeploy end what runs too, minutes before. An event that is acknowledged begins at once.
/// </summary>
/// <remarks>Source: Microsoft, "Azure Metadata Service: Scheduled Events for Linux VMs", api-version
/// 2020-07-01.</remarks>
internal sealed class AzureProtocol(MetadataService service, TimeProvider clock) : ICloudProtocol
{
    private const string EventsPath = "metadata/scheduledevents?api-version=2020-07-01";
    private const string NamePath = "metadata/instance/compute/name?api-version=2021-02-01&format=text";

    /// <summary>The first question switches the service on, which takes up to two minutes.</summary>
    private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(5);

    private string? _machine;
    private ImmutableArray<string> _toAcknowledge = [];

    public string Name => "azure";

    public TimeSpan Period => TimeSpan.FromSeconds(1);

    /// <summary>Whether Azure's metadata service is there.</summary>
    public static async Task<bool> AnswersAsync(MetadataService service, TimeSpan most, CancellationToken cancel)
    {
        using var question = Question(HttpMethod.Get, NamePath);
        var answer = await service.AskAsync(question, most, cancel).ConfigureAwait(false);
        return answer.Status == System.Net.HttpStatusCode.OK && IsMachineName(answer.Body);
    }

    public async Task<ImmutableArray<MachineEvent>> AskAsync(CancellationToken cancel)
    {
        _machine ??= await MachineNameAsync(cancel).ConfigureAwait(false);
        using var question = Question(HttpMethod.Get, EventsPath);
        var answer = (await service.AskAsync(question, AnswerMax, cancel).ConfigureAwait(false)).Succeeded();
        var body = CloudJson.Object(answer.Body, "scheduledevents");
        if (!body.TryGetProperty("Events", out var events) || events.ValueKind != JsonValueKind.Array)
            throw new MetadataException("scheduledevents has no list of Events");

        var said = ImmutableArray.CreateBuilder<MachineEvent>();
        var own = ImmutableArray.CreateBuilder<string>();
        foreach (var scheduled in events.EnumerateArray())
        {
            if (scheduled.ValueKind != JsonValueKind.Object || !Concerns(scheduled, _machine)) continue;
            if (Meaning(scheduled, answer.ClockAhead) is not { } meaning) continue;
            said.Add(meaning);
            // Acknowledging takes all machines of an event; the others may still be busy.
            if (meaning is MachineEvent.Leaves && scheduled.GetProperty("Resources").GetArrayLength() == 1
                && CloudJson.Text(scheduled, "EventId") is { } id)
            {
                own.Add(id);
            }
        }

        _toAcknowledge = own.ToImmutable();
        return said.ToImmutable();
    }

    public async Task AcknowledgeAsync(CancellationToken cancel)
    {
        var known = _toAcknowledge;
        if (known.IsEmpty) return;
        var body = JsonSerializer.Serialize(new { StartRequests = known.Select(id => new { EventId = id }) });
        using var question = Question(HttpMethod.Post, EventsPath);
        question.Content = new StringContent(body, Encoding.UTF8, "application/json");
        try
        {
            (await service.AskAsync(question, AnswerMax, cancel).ConfigureAwait(false)).Succeeded();
        }
        catch (Exception error) when (error is MetadataException or TimeoutException)
        {
            throw new HttpRequestException(error.Message, error);
        }
    }

    private static HttpRequestMessage Question(HttpMethod method, string path)
    {
        var question = new HttpRequestMessage(method, path);
        question.Headers.Add("Metadata", "true");
        return question;
    }

    private static bool IsMachineName(string text) =>
        text.Length is > 0 and <= 256 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');

    private static bool Concerns(JsonElement scheduled, string machine) =>
        scheduled.TryGetProperty("Resources", out var names) && names.ValueKind == JsonValueKind.Array
        && names.EnumerateArray().Any(
            name => string.Equals(JsonTexts.Of(name), machine, StringComparison.OrdinalIgnoreCase));

    private async Task<string> MachineNameAsync(CancellationToken cancel)
    {
        using var question = Question(HttpMethod.Get, NamePath);
        var answer = (await service.AskAsync(question, AnswerMax, cancel).ConfigureAwait(false)).Succeeded();
        return IsMachineName(answer.Body)
            ? answer.Body
            : throw new MetadataException("the machine's name is not one");
    }

    private MachineEvent? Meaning(JsonElement scheduled, TimeSpan clockAhead)
    {
        switch (CloudJson.Text(scheduled, "EventType"))
        {
            case "Preempt" or "Terminate" or "Reboot" or "Redeploy":
                // Without a time it has begun.
                var deadline = CloudJson.Time(scheduled, "NotBefore") - clockAhead ?? clock.GetUtcNow();
                return new MachineEvent.Leaves(new PreemptionNotice(deadline, Name));
            case "Freeze":
                // Seconds of silence, and everything is there again: what heartbeats are for.
                return new MachineEvent.MayLeave(Name, "it is to be paused for some seconds");
            default:
                return null;
        }
    }
}
