using SpotServe.Tests.EndToEnd;

namespace SpotServe.Tests.Golden;

/// <summary>A LLaMA with a context of 131,072 tokens that is so small that its prompt passes are quick. Most of its
/// tokens have ids that take three bytes in a message; only those of the bundled tokenizer are ever drawn.</summary>
internal static class LongContextModel
{
    public const int Vocabulary = 24_000;

    private const int Shown = 2048;
    private const int Hidden = 16;

    /// <returns>The folder.</returns>
    public static string Write()
    {
        var llama = new MadeLlama
        {
            Vocabulary = Vocabulary,
            Hidden = Hidden,
            Heads = 2,
            KvHeads = 1,
            Intermediate = 16,
            ContextMax = 131_072,
            RotaryBase = 500_000,
            MatrixScale = 0.5f,
        };
        var folder = llama.Write((name, weights) =>
        {
            // A logit of 0 is never the largest of so many.
            if (name == "lm_head.weight") weights.AsSpan(Shown * Hidden).Clear();
        });
        File.Copy(
            Path.Combine(SeedProcess.BundledModel, "tokenizer.json"), Path.Combine(folder, "tokenizer.json"));
        return folder;
    }
}
