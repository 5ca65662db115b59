using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using SpotServe.Actors.Cluster;

namespace SpotServe.Node.Preemption.Clouds;

/// <summary>
/// Google Compute Engine's metadata server. A spot machine's end is instance/preempted = TRUE, 30 s before; the server
/// holds its answer back until that changes, so it is heard of at once. Maintenance that ends the machine is told up
/// to an hour before and is only a hint.
/// </summary>
/// <remarks>Source: Google Cloud, "Spot VMs: detect preemption", "Query VM metadata: wait for change", "Monitor and
/// plan for a host maintenance event".</remarks>
internal sealed class GcpProtocol(MetadataService service, TimeProvider clock) : ICloudProtocol
{
    private const string PreemptedPath = "computeMetadata/v1/instance/preempted";
    private const string MaintenancePath = "computeMetadata/v1/instance/maintenance-event";
    private const string FlavorHeader = "Metadata-Flavor";
    private const string Flavor = "Google";

    /// <summary>What Compute Engine gives a machine from the change to its end.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(30);

    /// <summary>How long the server holds an answer back.</summary>
    private static readonly TimeSpan HoldMax = TimeSpan.FromSeconds(20);

    private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(5);

    private string? _tag;
    private DateTimeOffset? _preemptedSince;
    private Task<ImmutableArray<MachineEvent>>? _maintenance;

    public string Name => "gcp";

    public TimeSpan Period => TimeSpan.Zero;

    /// <summary>Whether Google's metadata server is there.</summary>
    public static async Task<bool> AnswersAsync(MetadataService service, TimeSpan most, CancellationToken cancel)
    {
        using var question = Question(PreemptedPath);
        var answer = await service.AskAsync(question, most, cancel).ConfigureAwait(false);
        return answer.Status == HttpStatusCode.OK && IsGoogles(answer);
    }

    public async Task<ImmutableArray<MachineEvent>> AskAsync(CancellationToken cancel)
    {
        // Once the end is told nothing further changes it: the server would answer at once, for ever.
        if (_preemptedSince is not null)
        {
            using var timer = new PeriodicTimer(HoldMax, clock);
            await timer.WaitForNextTickAsync(cancel).ConfigureAwait(false);
        }

        var path = _tag is null
            ? PreemptedPath
            : string.Create(
                CultureInfo.InvariantCulture,
                $"{PreemptedPath}?wait_for_change=true&timeout_sec={HoldMax.TotalSeconds:0}&last_etag={_tag}");
        using var question = Question(path);
        // Beside the question that is held back: a hint that comes late, or cannot be read, delays no notice.
        if (_tag is not null) _maintenance ??= MaintenanceAsync(cancel);
        var answer = Checked(await service.AskAsync(question, AnswerMax + HoldMax, cancel).ConfigureAwait(false));
        _tag = answer.Header("ETag") is { Length: > 0 and <= 256 } tag ? Uri.EscapeDataString(tag) : null;
        switch (answer.Body.Trim().ToUpperInvariant())
        {
            case "TRUE":
                _preemptedSince ??= clock.GetUtcNow();
                return [new MachineEvent.Leaves(new PreemptionNotice(_preemptedSince.Value + Grace, Name))];
            case "FALSE":
                // Without a tag the server cannot hold the answer back: it must not be asked in a circle.
                if (_tag is null) throw new MetadataException("it gave no ETag");
                return await HintsAsync().ConfigureAwait(false);
            default:
                _tag = null;
                throw new MetadataException("instance/preempted is neither TRUE nor FALSE");
        }
    }

    private static HttpRequestMessage Question(string path)
    {
        var question = new HttpRequestMessage(HttpMethod.Get, path);
        question.Headers.Add(FlavorHeader, Flavor);
        return question;
    }

    private static bool IsGoogles(MetadataAnswer answer) => answer.Header(FlavorHeader) == Flavor;

    private static MetadataAnswer Checked(MetadataAnswer answer) => IsGoogles(answer.Succeeded())
        ? answer
        : throw new MetadataException($"it does not say {FlavorHeader}: {Flavor}");

    /// <summary>What the last question about maintenance has found, if it has been answered.</summary>
    private async Task<ImmutableArray<MachineEvent>> HintsAsync()
    {
        if (_maintenance is not { IsCompletedSuccessfully: true } asked) return [];
        _maintenance = null;
        return await asked.ConfigureAwait(false);
    }

    /// <summary>Never fails: what cannot be read is no hint.</summary>
    private async Task<ImmutableArray<MachineEvent>> MaintenanceAsync(CancellationToken cancel)
    {
        try
        {
            using var question = Question(MaintenancePath);
            var answer = Checked(await service.AskAsync(question, AnswerMax, cancel).ConfigureAwait(false));
            return answer.Body.Trim() == "TERMINATE_ON_HOST_MAINTENANCE"
                ? [new MachineEvent.MayLeave(Name, "host maintenance will end it")]
                : [];
        }
        catch (Exception error) when (
            error is HttpRequestException or TimeoutException or MetadataException or OperationCanceledException)
        {
            return [];
        }
    }
}
