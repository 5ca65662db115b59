using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>A line of GET /admin/reconfigurations.</summary>
internal sealed record ReconfigurationLine(
    long Epoch,
    string Cause,
    DateTimeOffset StartedAt,
    string? From,
    string To,
    ReconfigurationPhaseLine[] Phases,
    double? PauseMs,
    int Sequences,
    long TokensRecomputed,
    long WeightsReused,
    long WeightsFromPeers,
    long WeightsFromDisk,
    long PagesCopied,
    string Outcome,
    int RequestsResumed,
    string Story)
{
    private const int AttemptsMax = 2_400;
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(100);
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
    };

    public bool IsServing => Outcome == "serving";

    /// <summary>Devices of the layout that it led to.</summary>
    private int Devices => To.Trim('(', ')').Split(',')
        .Aggregate(1, (devices, degree) => devices * int.Parse(degree, CultureInfo.InvariantCulture));

    private int Replicas => int.Parse(To.Trim('(').Split(',')[0], CultureInfo.InvariantCulture);

    public static async Task<ReconfigurationLine[]> AllAsync(HttpClient http)
    {
        var answer = await http.GetFromJsonAsync<Answer>(
            "/admin/reconfigurations", Json, TestContext.Current.CancellationToken);
        return answer!.Reconfigurations;
    }

    /// <summary>Waits until the newest reconfiguration led to these degrees and is over; a minute at most.</summary>
    /// <param name="explain">Added to the message of a failure.</param>
    /// <param name="after">It began after this.</param>
    public static Task<ReconfigurationLine> UntilServingAsync(
        HttpClient http, string degrees, Func<string>? explain = null, DateTimeOffset after = default) =>
        UntilAsync(http, degrees, last => last.To == degrees && last.StartedAt > after, explain);

    /// <summary>As <see cref="UntilServingAsync"/>, whatever the degrees are, on so many devices.</summary>
    public static Task<ReconfigurationLine> UntilServingOnAsync(
        HttpClient http, int devices, Func<string>? explain = null) =>
        UntilAsync(http, $"{devices} devices", last => last.Devices == devices, explain);

    /// <summary>As <see cref="UntilServingAsync"/>, with so many replicas.</summary>
    public static Task<ReconfigurationLine> UntilReplicasAsync(
        HttpClient http, Func<int, bool> isRight, Func<string>? explain = null) =>
        UntilAsync(http, "another number of replicas", last => isRight(last.Replicas), explain);

    private static async Task<ReconfigurationLine> UntilAsync(
        HttpClient http, string what, Func<ReconfigurationLine, bool> isRight, Func<string>? explain)
    {
        using var timer = new PeriodicTimer(Period);
        ReconfigurationLine[] all = [];
        for (var attempt = 0; attempt < AttemptsMax; attempt++)
        {
            all = await AllAsync(http);
            if (all is [.., { IsServing: true } last] && isRight(last)) return last;
            await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
        }

        Assert.Fail($"waited for {what}:\n{string.Join<ReconfigurationLine>('\n', all)}\n{explain?.Invoke()}");
        return all[^1];
    }

    /// <summary>The phase that it was in; null before and after all of them.</summary>
    public string? PhaseAt(DateTimeOffset time)
    {
        var ms = (time - StartedAt).TotalMilliseconds;
        return Phases.FirstOrDefault(phase => phase.StartMs <= ms && ms < phase.StartMs + phase.DurationMs)?.Name;
    }

    public override string ToString() =>
        $"e{Epoch} {From ?? "nothing"} -> {To}: pause {PauseMs:0} ms, {Sequences} sequences, {TokensRecomputed} tokens "
        + $"recomputed, weights {WeightsReused / 1e6:0.0} MB reused, {WeightsFromPeers / 1e6:0.0} from peers, "
        + $"{WeightsFromDisk / 1e6:0.0} from disk, pages {PagesCopied / 1e6:0.0} MB; {Outcome} ({Cause})";

    private sealed record Answer(ReconfigurationLine[] Reconfigurations);
}

/// <summary>A phase of a reconfiguration.</summary>
/// <param name="StartMs">From the reconfiguration's start.</param>
internal sealed record ReconfigurationPhaseLine(string Name, double StartMs, double DurationMs)
{
    public override string ToString() => $"{Name} {DurationMs:0} ms";
}
