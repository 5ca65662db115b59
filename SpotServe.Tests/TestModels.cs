namespace SpotServe.Tests;

/// <summary>Model shapes for tests that load no weights.</summary>
internal static class TestModels
{
    public static ModelSpec Small { get; } = new(
        "small", "llama", "f1", LayerCount: 8, HiddenSize: 64, HeadCount: 8, KvHeadCount: 4, HeadSize: 8,
        IntermediateSize: 160, VocabularySize: 320, ContextMax: 256, ElementType.Float32,
        Front: [new("embed", [320, 64], TensorSplit.Vocabulary)],
        Layer:
        [
            new("l.{0}.q", [64, 64], TensorSplit.Output),
            new("l.{0}.k", [32, 64], TensorSplit.KvHeads),
            new("l.{0}.v", [32, 64], TensorSplit.KvHeads),
            new("l.{0}.o", [64, 64], TensorSplit.Input),
            new("l.{0}.norm", [64], TensorSplit.Replicated),
        ],
        Back: [new("norm", [64], TensorSplit.Replicated), new("head", [320, 64], TensorSplit.Vocabulary)]);
}
