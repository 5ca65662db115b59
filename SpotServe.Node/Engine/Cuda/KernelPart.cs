using System.Globalization;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// A part of decode.cu, compiled by itself: parts at the same time take as long as the longest. A part has only those
/// definitions that it depends on, so that another layout or model compiles only what it has not in common.
/// </summary>
/// <param name="Name">After PART_ in the source.</param>
/// <param name="Definitions">Macros of the source.</param>
internal sealed record KernelPart(string Name, params string[] Definitions)
{
    /// <summary>It has instructions of one kind of GPU alone, which neither older nor newer ones know.</summary>
    public bool IsForOneKind { get; init; }

    /// <summary>Segments of a product's sum.</summary>
    public const int Segments = 8;

    /// <summary>What a stage runs.</summary>
    /// <param name="ranks">Of the stage: each has its segments of a row-parallel product.</param>
    /// <param name="group">Query heads that share a key head on a rank.</param>
    /// <param name="fusesHeads">The product that makes queries and keys turns them.</param>
    /// <param name="rows">Blocks of row-parallel products, where there are several ranks.</param>
    public static IReadOnlyList<KernelPart> Of(
        ModelSpec model, int ranks, int group, bool fusesHeads, RowBlocks rows = default)
    {
        var element = ElementOf(model);
        var head = Define("HEAD_SIZE", model.HeadSize);
        // No part of these depends on heads, but their sources name them.
        string[] any = [Define("HEAD_SIZE", 128), Define("GROUP", 1), .. element];
        string[] attention = [head, Define("GROUP", group), .. element];
        string[] ofHeads = [head, Define("GROUP", 1), .. element];
        List<KernelPart> parts =
        [
            new("CLUSTER", attention), new("SPLIT", attention), new("DRAWING", any), new("FLOATS", any),
            new("GATED", any), new("ROWS", ofHeads), new("PROMPT", ofHeads),
        ];
        if (fusesHeads) parts.Add(new KernelPart("HEADS", ofHeads));
        parts.Add(ranks == 1
            ? new KernelPart("RESIDUAL", any)
            : new KernelPart("PARTIAL",
            [
                Define("ROW_SEGMENTS", Segments / ranks), Define("ROW_WARPS", rows.Warps),
                Define("ROW_BLOCKS", rows.Each), .. any,
            ]));
        return parts;
    }

    /// <summary>The products of decode passes of more tokens than the others know.</summary>
    public static IReadOnlyList<KernelPart> OfWidePasses(ModelSpec model)
    {
        string[] definitions = [Define("HEAD_SIZE", 128), Define("GROUP", 1), .. ElementOf(model)];
        return
        [
            new("WIDE", definitions) { IsForOneKind = true },
            new("WIDEGATED", definitions) { IsForOneKind = true },
        ];
    }

    /// <summary>The products of prompts, for <see cref="ChunkProducts"/>.</summary>
    public static IReadOnlyList<KernelPart> OfPrompts(ModelSpec model, int ranks)
    {
        var element = ElementOf(model);
        var end = ranks == 1 ? "LEAVES_END=AddedToRows" : "LEAVES_END=ToFloatSums";
        return
        [
            new("COLUMNS", element) { IsForOneKind = true },
            new("SWIGLU", element) { IsForOneKind = true },
            new("LEAVES", [Define("LEAVES", ChunkProducts.Leaves / ranks), end, .. element]) { IsForOneKind = true },
        ];
    }

    /// <summary>What a stage of one rank probably runs, before its blocks are there.</summary>
    /// <param name="capability">Of the device, times ten.</param>
    public static IReadOnlyList<KernelPart> Expected(ModelSpec model, int capability)
    {
        var parts = Of(model, ranks: 1, model.HeadCount / model.KvHeadCount, fusesHeads: model.HeadSize % 16 == 0);
        return capability == ChunkProducts.Capability ? [.. parts, .. OfPrompts(model, ranks: 1)] : parts;
    }

    private static string[] ElementOf(ModelSpec model) =>
        model.WeightType == ElementType.Float16 ? ["ELEMENT_FLOAT16"] : [];

    private static string Define(string name, int value) =>
        string.Create(CultureInfo.InvariantCulture, $"{name}={value}");
}
