using System.Collections.Frozen;
using CsCheck;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Node.Weights;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Weights;

/// <summary>Tensors that a checkpoint has in another form than the engine's.</summary>
public sealed class StoredPartTests
{
    private const int Size = 3, Heads = 4, Columns = 5, Rows = Heads * Size;

    /// <summary>Rows of three tensors taking turns by head, as GPT-NeoX has them; one below the other, as Phi-3; and
    /// columns of one, as GPT-2.</summary>
    [Fact]
    public unsafe void Part_of_a_stored_tensor_is_read_as_element_by_element()
    {
        var stored = GoldenModel.Weights("w", [3 * Rows, Columns], 1);
        var turned = GoldenModel.Weights("t", [Columns, 3 * Rows], 1);
        using var checkpoint = Open(("w", [3 * Rows, Columns], stored), ("t", [Columns, 3 * Rows], turned));
        (StoredPart Part, Func<int, int, float> Element)[] forms =
        [
            (new StoredPart("w", [3 * Rows, Columns], Size, Size, 3 * Size),
                (row, column) => stored[(((((row / Size * 3) + 1) * Size) + (row % Size)) * Columns) + column]),
            (new StoredPart("w", [3 * Rows, Columns], FirstRow: Rows),
                (row, column) => stored[((Rows + row) * Columns) + column]),
            (new StoredPart("t", [Columns, 3 * Rows], FirstRow: 2 * Rows, IsTransposed: true),
                (row, column) => turned[(column * 3 * Rows) + (2 * Rows) + row]),
        ];
        var range = Gen.Select(Gen.Int[0, Rows - 1], Gen.Int[1, Rows], Gen.Int[0, Columns - 1], Gen.Int[1, Columns]);

        Gen.Select(Gen.Int[0, 2], range).Sample(
            (which, ends) =>
            {
                var (part, element) = forms[which];
                var rows = new AxisRange(ends.Item1, Math.Min(Rows, ends.Item1 + ends.Item2));
                var columns = new AxisRange(ends.Item3, Math.Min(Columns, ends.Item3 + ends.Item4));
                var source = new CheckpointSource(checkpoint, Named("logical", part), threads: 1);
                var read = new float[rows.Count * columns.Count];
                fixed (float* into = read)
                {
                    source.Read(
                        "logical", [Rows, Columns], new Rectangle(rows, columns), into, ElementType.Float32, _ => { },
                        CancellationToken.None);
                }

                var at = 0;
                for (var row = (int)rows.First; row < rows.End; row++)
                {
                    for (var column = (int)columns.First; column < columns.End; column++)
                        Assert.Equal(element(row, column), read[at++]);
                }

                using var mapped = source.Map("logical", [Rows, Columns], rows, ElementType.Float32);
                var isRun = which == 1 || (which == 0 && rows.First / Size == (rows.End - 1) / Size);
                Assert.Equal(isRun, mapped is not null);
                if (mapped is not null) Assert.Equal(element((int)rows.First, 0), *(float*)mapped.Start);
            },
            iter: 500, threads: 1);
    }

    [Theory]
    [InlineData("model.layers.0.w")]
    [InlineData("layers.0.w")]
    public void Tensor_is_found_with_and_without_the_heads_prefix(string stored)
    {
        using var checkpoint = Open((stored, [2], [1f, 2f]));

        Assert.Equal(
            stored, (CheckpointNames.Plain with { BasePrefix = "model." }).Resolve(checkpoint, "model.layers.0.w"));
    }

    private static CheckpointNames Named(string name, StoredPart part) => CheckpointNames.Plain with
    {
        Stored = new Dictionary<string, StoredPart> { [name] = part }.ToFrozenDictionary(),
    };

    private static Checkpoint Open(params (string, long[], float[])[] tensors)
    {
        var folder = TemporaryFolders.Create();
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors);
        return Checkpoint.Open(folder);
    }
}
