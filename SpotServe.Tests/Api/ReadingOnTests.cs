using System.Text;
using CsCheck;
using SpotServe.Actors.Gateway;
using SpotServe.Seed.Api;
using SpotServe.Seed.Tokenization;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>A completion is the text that reads on from its prompt, however it is asked for.</summary>
public sealed class ReadingOnTests
{
    private const string Spaced =
        """
        {
          "added_tokens": [{"id": 9, "content": "<s>", "special": true},
            {"id": 10, "content": "<|end|>", "special": true}],
          "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
          "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [9], "tokens": ["<s>"]}}},
          "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
          "model": {"type": "BPE", "byte_fallback": true, "vocab": {
            "\u2581": 0, "a": 1, "b": 2, "c": 3, "\u2581a": 4, "\u2581b": 5, "\u2581c": 6, "<0xC3>": 7, "<0xA9>": 8},
            "merges": ["\u2581 a", "\u2581 b", "\u2581 c"]}
        }
        """;

    private static readonly ITokenizer Tokenizer = TokenizerLoader.Parse(Encoding.UTF8.GetBytes(Spaced), "my.json");

    [Theory]
    [InlineData("\"a b\"", " c a")]
    [InlineData("[4, 5]", " c a")]
    [InlineData("[9]", "c a")]
    [InlineData("[9, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 9]", " c a")]
    public async Task Prompt_and_text_read_on_streamed_whole_and_read_again(string prompt, string text)
    {
        await using var server = await ApiServer.StartAsync(tokenizer: Tokenizer);
        server.Cluster.Script = FakeCluster.Tokens([6, 4]);

        var (_, whole) = await server.PostAsync($$"""{"prompt": {{prompt}} }""");
        using var stream = await server.StreamAsync($$"""{"prompt": {{prompt}}, "stream": true}""");
        var events = await stream.RestAsync();
        var (_, again) = await server.GetAsync($"/v1/requests/{server.Cluster.Last.Id.Value}");

        Assert.Equal(text, whole.GetProperty("choices")[0].GetProperty("text").GetString());
        Assert.Equal(text, string.Concat(events.SkipLast(1).Select(e => e.Text)));
        Assert.Equal(text, again.GetProperty("text").GetString());
    }

    [Fact]
    public async Task Character_that_the_prompt_began_is_completed_by_the_text()
    {
        await using var server = await ApiServer.StartAsync(tokenizer: Tokenizer);
        server.Cluster.Script = FakeCluster.Tokens([8, 1]);

        var (_, body) = await server.PostAsync("""{"prompt": [9, 4, 7]}""");

        Assert.Equal("\u00E9a", body.GetProperty("choices")[0].GetProperty("text").GetString());
    }

    [Theory]
    [InlineData("\" c\"", "", "stop")]
    [InlineData("\"a b\"", " c", "stop")]
    [InlineData("\"<|end|>\"", " ca b", "stop")]
    [InlineData("\"b<|end|>c\"", " ca ", "stop")]
    [InlineData("[\"bc\"]", " ca ", "stop")]
    [InlineData("\"<|e\"", " ca b", "stop")]
    [InlineData("\"<s>\"", " ca bc", "length")]
    public async Task Stop_string_is_found_with_its_first_space_across_tokens_and_in_special_tokens(
        string stop, string text, string reason)
    {
        await using var server = await ApiServer.StartAsync(tokenizer: Tokenizer);
        server.Cluster.Script = FakeCluster.Tokens([6, 1, 5, 10, 3]);

        var (_, body) = await server.PostAsync($$"""{"prompt": "a", "stop": {{stop}} }""");

        var choice = body.GetProperty("choices")[0];
        Assert.Equal(text, choice.GetProperty("text").GetString());
        Assert.Equal(reason, choice.GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task Special_tokens_are_shown_when_asked_for_and_stop_token_ids_join_the_models_own()
    {
        await using var server = await ApiServer.StartAsync(tokenizer: Tokenizer);
        server.Cluster.Script = FakeCluster.Tokens([6, 10, 1, 2]);

        var (_, body) = await server.PostAsync(
            """{"prompt": "a", "skip_special_tokens": false, "stop_token_ids": [2, 2, 8]}""");
        var shown = server.Cluster.Last;
        await server.PostAsync("""{"prompt": "a", "ignore_eos": true, "stop_token_ids": [2]}""");

        Assert.Equal(" c<|end|>a", body.GetProperty("choices")[0].GetProperty("text").GetString());
        Assert.True(shown.Parameters.ShowsSpecialTokens);
        Assert.Equal([0, 2, 8], shown.Parameters.StopTokens);
        Assert.Equal([2], server.Cluster.Last.Parameters.StopTokens);
    }

    [Fact]
    public void Cluster_and_reader_stop_at_the_same_token_of_any_text() =>
        Gen.Select(Gen.Int[0, 10].Array[1, 24], Gen.OneOfConst(" c", "b", "<|end|>", "a b", "c<|end|>"))
            .Sample((tokens, stop) =>
            {
                var spec = new GenerationSpec(
                    [9, 4], new GenerationParameters(64, SamplingParameters.Greedy, [0]) { Stops = [stop] });
                var search = new StopTokenSearch(Tokenizer, spec);
                var text = new CompletionText(Tokenizer, RequestDescription.Of(DateTimeOffset.UnixEpoch, spec));

                foreach (var token in tokens)
                {
                    text.Push(token);
                    Assert.Equal(text.Stopped, search.Push(token));
                }
            });

    [Fact]
    public void Stop_is_found_where_a_reader_of_single_characters_finds_it()
    {
        var piece = Gen.Select(Gen.OneOfConst("a", "b", "ab", "ba", "aab", "x"), Gen.Bool);
        Gen.Select(piece.Array[0, 12], Gen.OneOfConst("ab", "aba", "bb", "aaab", "x", "xab").Array[1, 3])
            .Sample((pieces, stops) =>
            {
                var (expected, stopped) = ReadSlowly(pieces, stops);
                var finder = new StopFinder([.. stops]);

                var text = string.Concat(pieces.Select(p => p.Item2 ? finder.Push(p.Item1) : finder.Pass(p.Item1)));
                text += finder.Finish();

                Assert.Equal(expected, text);
                Assert.Equal(stopped, finder.Stopped);
            });
    }

    private static (string Text, bool Stopped) ReadSlowly((string Text, bool IsShown)[] pieces, string[] stops)
    {
        var all = new List<(char Char, bool IsShown)>();
        foreach (var (text, isShown) in pieces)
        {
            foreach (var character in text)
            {
                all.Add((character, isShown));
                var whole = string.Concat(all.Select(c => c.Char));
                var seen = all.Where(c => c.IsShown).Select(c => c.Char).ToArray();
                var begins = stops.Where(stop => whole.EndsWith(stop, StringComparison.Ordinal))
                    .Select(stop => all.Take(all.Count - stop.Length).Count(c => c.IsShown))
                    .Concat(isShown ? stops.Where(stop => new string(seen).EndsWith(stop, StringComparison.Ordinal))
                        .Select(stop => seen.Length - stop.Length) : [])
                    .ToArray();
                if (begins.Length > 0) return (new string(seen[..begins.Min()]), true);
            }
        }

        return (string.Concat(all.Where(c => c.IsShown).Select(c => c.Char)), false);
    }
}
