namespace SpotServe.Tests.Golden;

/// <summary>A small LLaMA whose embedding of one token is no number, and which never draws that token itself.</summary>
internal static class PoisonModel
{
    public const int Token = 77;
    public const int Vocabulary = 101;

    private const int Hidden = 48;

    /// <param name="value">What the token's embedding consists of.</param>
    /// <returns>The folder, without a tokenizer.</returns>
    public static string Write(float value)
    {
        var llama = new MadeLlama
        {
            Vocabulary = Vocabulary,
            Hidden = Hidden,
            Heads = 8,
            KvHeads = 4,
            Intermediate = 96,
        };
        return llama.Write((name, weights) =>
        {
            if (name == "model.embed_tokens.weight") Row(weights).Fill(value);
            // A logit of 0 is never the largest of so many.
            if (name == "lm_head.weight") Row(weights).Clear();
        });
    }

    private static Span<float> Row(float[] weights) => weights.AsSpan(Token * Hidden, Hidden);
}
