namespace SpotServe.Actors.Vocabulary;

/// <summary>A KV page holds the keys and values of 16 consecutive tokens of one sequence in one layer.</summary>
public static class KvPage
{
    public const int Tokens = 16;

    /// <summary>Pages that hold this many tokens.</summary>
    public static int Count(int tokens) => (tokens + Tokens - 1) / Tokens;

    /// <summary>Bytes that one page takes on a device, in one layer: the keys and values of these heads. Planner,
    /// engine and fake charge by this alone.</summary>
    public static long Bytes(ModelSpec model, long kvHeads) =>
        2L * Tokens * kvHeads * model.HeadSize * model.WeightType.Bytes();
}
