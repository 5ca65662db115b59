using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// A client that reads one story as a stream, and when its connection breaks reads the rest at the next control node
/// that answers, from the last event that it has. Every token must come once and in order.
/// </summary>
internal sealed class ResumingClient(IReadOnlyList<HttpClient> controls, GoldenStories.Story story)
{
    private static readonly TimeSpan BrokenMax = Waits.Max;
    private readonly StringBuilder _text = new();
    private string? _id;
    private int _last = -1;
    private long _heardAt;
    private bool _done;

    public GoldenStories.Story Story => story;

    public string Text => _text.ToString();

    /// <summary>How often the connection broke.</summary>
    public int Broken { get; private set; }

    /// <summary>Longest time between two events.</summary>
    public TimeSpan LongestGap { get; private set; }

    /// <summary>Reads to the end, beginning at one of the control nodes.</summary>
    public async Task ReadAsync(int first, Action<int> onPiece, CancellationToken cancel)
    {
        var control = first;
        while (!_done)
        {
            try
            {
                using var response = _id is null
                    ? await SendUntilAcceptedAsync(controls[control], Ask, cancel)
                    : await ResumeAsync(controls[control], cancel);
                await ReadAsync(response, onPiece, cancel);
            }
            catch (Exception error) when (_id is not null && error is HttpRequestException or IOException)
            {
                Broken++;
                Assert.True(
                    Stopwatch.GetElapsedTime(_heardAt) < BrokenMax,
                    $"{_id} could not be read on after event {_last} for {BrokenMax.TotalSeconds} s: {error.Message}");
                control = (control + 1) % controls.Count;
                await PauseAsync(TimeSpan.FromMilliseconds(100), cancel);
            }
        }
    }

    /// <summary>Has a story written for nobody: returns its id once it is accepted.</summary>
    /// <param name="stop">A text that ends it; null: none.</param>
    public static async Task<string> SubmitAsync(
        HttpClient control, GoldenStories.Story story, string? stop, CancellationToken cancel)
    {
        using var response = await SendUntilAcceptedAsync(
            control,
            () =>
            {
                var request = Ask(story, stop);
                request.Headers.Add("X-SpotServe-Detach", "true");
                return request;
            },
            cancel);
        return response.Headers.GetValues("X-Request-Id").Single();
    }

    /// <summary>A request that is not accepted is sent again after the time that the answer names, as every client
    /// does: a control node that has just come may have no place for it in time.</summary>
    private static async Task<HttpResponseMessage> SendUntilAcceptedAsync(
        HttpClient control, Func<HttpRequestMessage> ask, CancellationToken cancel)
    {
        for (var began = Stopwatch.GetTimestamp(); ;)
        {
            using var request = ask();
            var response = await control.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
            if (response.IsSuccessStatusCode) return response;
            var body = await response.Content.ReadAsStringAsync(cancel);
            var after = response.Headers.RetryAfter?.Delta;
            response.Dispose();
            if (after is not { } pause || Stopwatch.GetElapsedTime(began) > Waits.Max)
                Assert.Fail($"{control.BaseAddress} answered {response.StatusCode}: {body}");
            else await PauseAsync(pause, cancel);
        }
    }

    private static async Task PauseAsync(TimeSpan time, CancellationToken cancel)
    {
        using var timer = new PeriodicTimer(time);
        await timer.WaitForNextTickAsync(cancel);
    }

    /// <summary>Fails when what it read is not the text of an undisturbed run.</summary>
    public void AssertGolden() => Assert.True(story.Matches(Text), $"came out as: {Text}");

    private HttpRequestMessage Ask() => Ask(story, stop: null);

    private static HttpRequestMessage Ask(GoldenStories.Story story, string? stop)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = JsonContent.Create(new
            {
                prompt = story.Prompt,
                max_tokens = story.Tokens.Length,
                temperature = 0,
                ignore_eos = true,
                stream = true,
                stop,
            }),
        };
        request.Headers.Add("Accept", "text/event-stream");
        return request;
    }

    private async Task<HttpResponseMessage> ResumeAsync(HttpClient control, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v1/requests/{_id}");
        request.Headers.Add("Accept", "text/event-stream");
        if (_last >= 0) request.Headers.Add("Last-Event-ID", $"{_last}");
        var response = await control.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        return response.EnsureSuccessStatusCode();
    }

    private async Task ReadAsync(HttpResponseMessage response, Action<int> onPiece, CancellationToken cancel)
    {
        if (_id is null) _heardAt = Stopwatch.GetTimestamp();
        _id ??= response.Headers.GetValues("X-Request-Id").Single();
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancel));
        int? id = null;
        while (await reader.ReadLineAsync(cancel) is { } line)
        {
            if (line.StartsWith("id: ", StringComparison.Ordinal))
                id = int.Parse(line.AsSpan(4), CultureInfo.InvariantCulture);
            if (line == "data: [DONE]") _done = true;
            else if (line.StartsWith("data: ", StringComparison.Ordinal)) Take(id, line[6..], onPiece);
            if (line.Length == 0) id = null;
        }

        if (!_done) throw new IOException("the stream ended without [DONE]");
    }

    private void Take(int? id, string data, Action<int> onPiece)
    {
        using var json = JsonDocument.Parse(data);
        if (json.RootElement.TryGetProperty("error", out var error)) throw new IOException(error.ToString());
        Assert.Equal(_last + 1, id);
        _last = id!.Value;
        var gap = Stopwatch.GetElapsedTime(_heardAt);
        if (_last > 0 && gap > LongestGap) LongestGap = gap;
        _heardAt = Stopwatch.GetTimestamp();
        _text.Append(json.RootElement.GetProperty("choices")[0].GetProperty("text").GetString());
        onPiece(_last + 1);
    }
}
