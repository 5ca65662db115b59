namespace SpotServe.Node.Engine;

/// <summary>What a GPU's engine promises of its bits.</summary>
public enum Numerics
{
    /// <summary>A token's logits have the same bits whatever else is in its step, on every layout that the kernels
    /// know, before and after a hand-over or a kill.</summary>
    Invariant,

    /// <summary>All that a step holds shares its products where that is faster: with a prompt, or more sequences than
    /// one reading of the weights serves. Bits then depend on what runs together.</summary>
    Fast,
}

/// <summary>The names of <see cref="Numerics"/> on command lines.</summary>
internal static class NumericsNames
{
    public const string Help =
        "invariant: on a GPU the same bits in every batch and layout; fast: with many sequences or prompts at once "
        + "products are shared, and bits depend on what runs together.";

    public static string Of(Numerics numerics) => numerics == Numerics.Fast ? "fast" : "invariant";

    /// <summary>Null for a name that is none of them.</summary>
    public static Numerics? Parse(string text) => text switch
    {
        "invariant" => Numerics.Invariant,
        "fast" => Numerics.Fast,
        _ => null,
    };
}
