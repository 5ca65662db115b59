using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>One cluster of four nodes on (1,2,2) for several tests.</summary>
public sealed class ServingCluster : IAsyncLifetime
{
    internal SeedProcess Seed { get; private set; } = null!;

    internal HttpClient Http { get; private set; } = null!;

    public async ValueTask InitializeAsync() =>
        (Seed, Http) = await SeedProcess.StartAsync(
            "--port", "0", "--fleet", "none", "--nodes", "4", "--layout", "1,2,2");

    public async ValueTask DisposeAsync()
    {
        Http?.Dispose();
        if (Seed is not null) await Seed.DisposeAsync();
    }
}

/// <summary>A line of GET /admin/replicas.</summary>
internal sealed record ReplicaState(
    int Replica, int Queued, int Running, int FreePages, int PageCount, long Steps, long Tokens)
{
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(100);
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
    };

    public bool IsIdle => Queued == 0 && Running == 0 && FreePages == PageCount;

    /// <summary>Asks for the replicas until they are as wanted; fails with the last answer when that takes
    /// too long.</summary>
    public static async Task<ReplicaState[]> UntilAsync(
        HttpClient http, string wanted, Func<ReplicaState[], bool> condition)
    {
        using var timer = new PeriodicTimer(Period);
        var answer = new Replicas(0, []);
        for (var began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < Waits.Max;)
        {
            answer = await http.GetFromJsonAsync<Replicas>(
                "/admin/replicas", Json, TestContext.Current.CancellationToken);
            if (answer!.List.Length > 0 && condition(answer.List)) return answer.List;
            await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
        }

        Assert.Fail($"waited for {wanted}, but was {string.Join<ReplicaState>("; ", answer.List)}");
        return [];
    }

    private sealed record Replicas(
        long Epoch, [property: System.Text.Json.Serialization.JsonPropertyName("replicas")] ReplicaState[] List);
}
