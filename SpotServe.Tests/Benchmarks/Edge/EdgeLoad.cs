using System.Diagnostics;
using System.Net.Http.Json;

namespace SpotServe.Tests.Benchmarks.Edge;

/// <summary>What one stream saw, as Stopwatch counts.</summary>
/// <param name="Asked">When the request was sent.</param>
/// <param name="Accepted">When the response's headers came: the request is in the journal.</param>
/// <param name="Tokens">When each token's event came.</param>
internal sealed record StreamTimes(long Asked, long Accepted, List<long> Tokens);

/// <summary>A client of the HTTP interface that reads many streams at once and parses nothing of them.</summary>
internal static class EdgeLoad
{
    private static ReadOnlySpan<byte> Prefix => "data: {"u8;

    /// <summary>Streams that begin evenly within a time.</summary>
    public static async Task<StreamTimes[]> RunAsync(
        HttpClient http, int streams, int tokensEach, TimeSpan within, CancellationToken cancel)
    {
        var reading = new List<Task<StreamTimes>>(streams);
        using var timer = new PeriodicTimer(within / streams);
        for (var i = 0; i < streams; i++)
        {
            reading.Add(ReadAsync(http, i, tokensEach, cancel));
            await timer.WaitForNextTickAsync(cancel);
        }

        return await Task.WhenAll(reading);
    }

    private static async Task<StreamTimes> ReadAsync(
        HttpClient http, int number, int tokens, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = JsonContent.Create(new
            {
                prompt = new[] { 1 + (number % 200), 2 + (number % 100), 3, 4 },
                max_tokens = tokens,
                temperature = 0,
                ignore_eos = true,
                stream = true,
            }),
        };
        var asked = Stopwatch.GetTimestamp();
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        response.EnsureSuccessStatusCode();
        var times = new StreamTimes(asked, Stopwatch.GetTimestamp(), new List<long>(tokens + 1));
        await using var body = await response.Content.ReadAsStreamAsync(cancel);
        var buffer = new byte[16 << 10];
        var matched = 0;
        while (await body.ReadAsync(buffer, cancel) is > 0 and var count)
        {
            var now = Stopwatch.GetTimestamp();
            for (var i = 0; i < count; i++)
            {
                // No proper part of the prefix comes again within it, so that a mismatch begins anew.
                matched = buffer[i] == Prefix[matched] ? matched + 1 : buffer[i] == Prefix[0] ? 1 : 0;
                if (matched < Prefix.Length) continue;
                matched = 0;
                times.Tokens.Add(now);
            }
        }

        // The last event says why it ended, and has no token.
        times.Tokens.RemoveAt(times.Tokens.Count - 1);
        return times;
    }
}
