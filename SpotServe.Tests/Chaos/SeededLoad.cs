using System.Net.Http.Json;
using System.Text.Json;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// Requests whose draws hang on their seed, and on penalties for all tokens before, and that show how probable each
/// token was. They are asked again and again beside a test, one answer of each after the other, and each answer is to
/// be the one that was given before anything happened: a request that is handed over, or computed anew after a kill,
/// has all of that with it.
/// </summary>
internal sealed class SeededLoad
{
    /// <summary>Of a token's logprob, over layouts that sum in another order.</summary>
    private const double LogprobTolerance = 1e-3;

    private static readonly TimeSpan AnswerMax = TimeSpan.FromMinutes(5);

    private static readonly object[] Bodies =
    [
        new
        {
            prompt = "Once upon a time", max_tokens = 96, seed = 11, temperature = 0.9, top_p = 0.9, logprobs = 2,
            presence_penalty = 0.6, frequency_penalty = 0.4, ignore_eos = true,
        },
        new
        {
            prompt = "Lily had a dog", max_tokens = 96, seed = 12, temperature = 1.1, top_k = 40, logprobs = 0,
            repetition_penalty = 1.2, min_p = 0.02, logit_bias = new Dictionary<string, double> { ["261"] = 1.5 },
            ignore_eos = true,
        },
    ];

    private readonly HttpClient _http;
    private readonly CancellationTokenSource _enough = new();
    private Task<int>[] _loops = [];

    private SeededLoad(HttpClient http) => _http = http;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Learns the answers, and begins.</summary>
    public static async Task<SeededLoad> StartAsync(HttpClient http)
    {
        var load = new SeededLoad(http);
        var answers = await Task.WhenAll(Bodies.Select(load.AskAsync));
        Assert.All(answers, answer => Assert.Equal(96, answer.Tokens.Length));
        load._loops = [.. Bodies.Zip(answers, load.RepeatAsync)];
        return load;
    }

    /// <summary>Lets the last answers come; fails when one was another than before.</summary>
    /// <returns>Answers that were compared.</returns>
    public async Task<int> EndAsync()
    {
        await _enough.CancelAsync();
        var counts = await Task.WhenAll(_loops).WaitAsync(AnswerMax, Cancel);
        _enough.Dispose();
        return counts.Sum();
    }

    private async Task<int> RepeatAsync(object body, Answer wanted)
    {
        var count = 0;
        while (!_enough.IsCancellationRequested)
        {
            var answer = await AskAsync(body);
            Assert.Equal(wanted.Text, answer.Text);
            Assert.Equal(wanted.Tokens, answer.Tokens);
            for (var i = 0; i < wanted.Logprobs.Length; i++)
                Assert.Equal(wanted.Logprobs[i], answer.Logprobs[i], LogprobTolerance);
            count++;
        }

        return count;
    }

    private async Task<Answer> AskAsync(object body)
    {
        using var response = await _http.PostAsJsonAsync("/v1/completions", body, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        using var json = JsonDocument.Parse(text);
        var choice = json.RootElement.GetProperty("choices")[0];
        var logprobs = choice.GetProperty("logprobs");
        return new Answer(
            choice.GetProperty("text").GetString()!,
            [.. logprobs.GetProperty("tokens").EnumerateArray().Select(token => token.GetString()!)],
            [.. logprobs.GetProperty("token_logprobs").EnumerateArray().Select(one => one.GetDouble())]);
    }

    private sealed record Answer(string Text, string[] Tokens, double[] Logprobs);
}
