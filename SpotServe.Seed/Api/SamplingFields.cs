using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;

namespace SpotServe.Seed.Api;

/// <summary>Reads the fields that say how tokens are drawn.</summary>
internal sealed class SamplingFields(CompletionModel model)
{
    /// <summary>Most tokens that a request may bias; OpenAI's limit.</summary>
    private const int BiasesMax = 300;

    private const string PromptLogprobsField = "prompt_logprobs";
    private const double BiasMax = 100;
    private const double PenaltyMax = 2;
    private const double RepetitionMax = 100;

    public static ImmutableArray<string> Known { get; } =
    [
        "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty",
        "logit_bias", "min_tokens", PromptLogprobsField,
    ];

    /// <exception cref="ApiException">A field cannot be what it is.</exception>
    public SamplingParameters Sampling(RequestFields body) => new(
        (float)body.Number("temperature", model.Defaults.Temperature ?? 1, 0, 2),
        (float)body.Number("top_p", model.Defaults.TopP ?? 1, float.Epsilon, 1),
        TopK(body),
        Seed(body));

    /// <summary>Adds what goes beyond <see cref="Sampling"/>.</summary>
    public GenerationParameters Shaped(RequestFields body, GenerationParameters parameters)
    {
        return parameters with
        {
            TokensMin = (int)body.Integer("min_tokens", 0, 0, parameters.TokensMax),
            Penalties = new LogitPenalties(
                (float)body.Number("min_p", model.Defaults.MinP ?? 0, 0, 1),
                (float)body.Number("presence_penalty", 0, -PenaltyMax, PenaltyMax),
                (float)body.Number("frequency_penalty", 0, -PenaltyMax, PenaltyMax),
                (float)body.Number(
                    "repetition_penalty", model.Defaults.RepetitionPenalty ?? 1, float.Epsilon, RepetitionMax)),
            Biases = Biases(body),
        };
    }

    /// <summary>Alternatives that are wanted with each token of a prompt; null where nothing is wanted of it.</summary>
    /// <param name="promptTokens">Tokens of the prompt.</param>
    public static int? PromptLogprobs(RequestFields body, int promptTokens, bool stream)
    {
        if (!body.Has(PromptLogprobsField)) return null;
        var top = (int)body.Integer(PromptLogprobsField, 0, 0, TokenLogprobs.TopMax);
        if (stream)
            throw body.Bad(PromptLogprobsField, "must be null in a stream: a prompt's come with a whole answer");
        return CheckedPromptLogprobs(PromptLogprobsField, top, promptTokens);
    }

    /// <param name="field">Which asks for them.</param>
    /// <exception cref="ApiException">They are too many.</exception>
    public static int CheckedPromptLogprobs(string field, int top, int promptTokens)
    {
        var all = promptTokens * (1L + top);
        return all <= TokenLogprobs.PromptMax
            ? top
            : throw ApiException.BadField(
                field,
                $"asks for {all:N0} log-probabilities of {promptTokens:N0} tokens; the limit is " +
                $"{TokenLogprobs.PromptMax:N0}. Ask for fewer alternatives, or shorten the prompt.");
    }

    /// <summary>0, -1 and whatever exceeds the vocabulary ask for all tokens, as elsewhere.</summary>
    private int TopK(RequestFields body)
    {
        var asked = body.Integer("top_k", model.Defaults.TopK ?? 0, -1, int.MaxValue);
        return asked is -1 || asked > model.Tokenizer.VocabularySize ? 0 : (int)asked;
    }

    /// <summary>A drawn seed when none is given: two requests alike then differ, as with any such server.</summary>
    private static ulong Seed(RequestFields body) => body.Has("seed")
        ? unchecked((ulong)body.Integer("seed", 0, long.MinValue, long.MaxValue))
        : BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));

    private ImmutableArray<TokenBias> Biases(RequestFields body)
    {
        if (!body.Has("logit_bias")) return [];
        var asked = body["logit_bias"];
        if (asked.ValueKind != JsonValueKind.Object) throw body.Bad("logit_bias", "must be an object");
        var biases = new SortedDictionary<int, float>();
        foreach (var member in asked.EnumerateObject())
        {
            var name = RequestFields.NameOf(member);
            if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var token)
                || token >= model.VocabularySize)
            {
                throw ApiException.BadField(
                    "logit_bias",
                    $"has the key \"{name}\"; keys are token ids of 0 to {model.VocabularySize - 1}, the model's " +
                    "vocabulary.");
            }

            var fields = new RequestFields(asked, "logit_bias.");
            if (!biases.TryAdd(token, (float)fields.Number(member.Name, 0, -BiasMax, BiasMax)))
                throw ApiException.BadField("logit_bias", $"names token {token} more than once.");
            if (biases.Count > BiasesMax)
                throw ApiException.BadField("logit_bias", $"has more than {BiasesMax} tokens, which is the limit.");
        }

        return [.. biases.Where(one => one.Value != 0).Select(one => new TokenBias(one.Key, one.Value))];
    }
}
