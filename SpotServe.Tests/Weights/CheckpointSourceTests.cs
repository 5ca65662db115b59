using System.Collections.Frozen;
using CsCheck;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.ModelFolder;
using SpotServe.Node.Weights;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Weights;

public sealed unsafe class CheckpointSourceTests
{
    private const int Rows = 37, Columns = 19;

    [Fact]
    public void Any_rectangle_of_a_matrix_is_read_as_it_lies()
    {
        var values = GoldenModel.Weights("w", [Rows, Columns], 1);
        using var checkpoint = Open(("w", [Rows, Columns], values));
        var source = Source(checkpoint);

        Gen.Select(Gen.Int[0, Rows], Gen.Int[0, Rows], Gen.Int[0, Columns], Gen.Int[0, Columns]).Sample(
            (r0, r1, c0, c1) =>
            {
                var rows = new AxisRange(Math.Min(r0, r1), Math.Max(r0, r1));
                var columns = new AxisRange(Math.Min(c0, c1), Math.Max(c0, c1));
                var read = Read(source, "w", [Rows, Columns], new Rectangle(rows, columns));

                var expected = Enumerable.Range((int)rows.First, (int)rows.Count).SelectMany(r =>
                    values.AsSpan((r * Columns) + (int)columns.First, (int)columns.Count).ToArray());
                Assert.Equal(expected, read);
            },
            iter: 300, threads: 1);
    }

    [Fact]
    public void Slice_larger_than_a_chunk_is_read_whole_and_reported()
    {
        long[] shape = [3000, 1025];
        var values = new float[shape[0] * shape[1]];
        for (var i = 0; i < values.Length; i++) values[i] = i % 8191;
        using var checkpoint = Open(("w", shape, values));
        var source = new CheckpointSource(checkpoint, CheckpointNames.Plain, threads: 2);
        long reported = 0;

        var read = Read(source, "w", shape, new Rectangle(new(0, 3000), new(1, 1025)),
            bytes => Interlocked.Add(ref reported, bytes));

        Assert.Equal(3000L * 1024 * 4, reported);
        for (var row = 0; row < 3000; row++)
            Assert.True(values.AsSpan((row * 1025) + 1, 1024).SequenceEqual(read.AsSpan(row * 1024, 1024)));
    }

    [Fact]
    public void Rows_are_mapped_where_they_lie_when_the_type_is_the_same()
    {
        var values = GoldenModel.Weights("w", [Rows, Columns], 1);
        using var checkpoint = Open(("w", [Rows, Columns], values));
        var source = Source(checkpoint);

        using var mapped = source.Map("w", [Rows, Columns], new AxisRange(3, 9), ElementType.Float32);

        Assert.NotNull(mapped);
        mapped.Populate(TestContext.Current.CancellationToken);
        Assert.Equal(
            values.AsSpan(3 * Columns, 6 * Columns).ToArray(),
            new ReadOnlySpan<float>(mapped.Start, 6 * Columns).ToArray());
        Assert.Null(source.Map("w", [Rows, Columns], new AxisRange(3, 9), ElementType.BFloat16));
    }

    [Fact]
    public void Tensor_that_lies_across_elements_is_not_mapped_but_read()
    {
        var path = Path.Combine(TemporaryFolders.Create(), "model.safetensors");
        const string Header = """{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""";
        SafetensorsWriter.Write(path, Header.PadRight(61), [0, 0, 128, 63, 0, 0, 0, 64]);
        using var checkpoint = Checkpoint.Open(Path.GetDirectoryName(path)!);
        var source = Source(checkpoint);

        Assert.Null(source.Map("w", [2], new AxisRange(0, 2), ElementType.Float32));
        Assert.Equal([1f, 2f], Read(source, "w", [2], Whole(2)));
    }

    [Fact]
    public void File_that_was_written_to_since_it_was_opened_is_refused()
    {
        var path = Path.Combine(TemporaryFolders.Create(), "model.safetensors");
        SafetensorsWriter.Write(path, [("w", [4], [1f, 2f, 3f, 4f])]);
        using var checkpoint = Checkpoint.Open(Path.GetDirectoryName(path)!);
        using (var writer = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            writer.SetLength(writer.Length - 8);

        var error = Assert.Throws<ModelFormatException>(() => Read(Source(checkpoint), "w", [4], Whole(4)));

        Assert.Contains("was written to", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensor_is_found_under_its_alias_when_it_is_missing()
    {
        using var checkpoint = Open(("head", [2], [1f, 2f]));
        var aliases = new Dictionary<string, string> { ["embedding"] = "head" }.ToFrozenDictionary();

        var source = new CheckpointSource(checkpoint, CheckpointNames.Plain with { Aliases = aliases }, 1);
        var read = Read(source, "embedding", [2], Whole(2));

        Assert.Equal([1f, 2f], read);
    }

    [Fact]
    public void Missing_tensor_is_named_with_its_folder()
    {
        using var checkpoint = Open(("w", [2], [1f, 2f]));

        var error = Assert.Throws<ModelFormatException>(() => Read(Source(checkpoint), "v", [2], Whole(2)));

        Assert.Contains(checkpoint.Folder, error.Message, StringComparison.Ordinal);
        Assert.Contains("tensor v is missing", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Wrong_shape_is_named_with_both_shapes()
    {
        using var checkpoint = Open(("w", [2], [1f, 2f]));

        var error = Assert.Throws<ModelFormatException>(() => Read(Source(checkpoint), "w", [3], Whole(3)));

        Assert.Contains("[2]", error.Message, StringComparison.Ordinal);
        Assert.Contains("[3]", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"weight_map":{"w":"../other.safetensors"}}""", "not a file of the model folder")]
    [InlineData("""{"weight_map":{"w":"absent.safetensors"}}""", "missing")]
    [InlineData("""{"weight_map":{"v":"part.safetensors"}}""", "does not")]
    [InlineData("""{"weight_map":{"w":3}}""", "weight_map")]
    [InlineData("""{"nothing":1}""", "weight_map")]
    [InlineData("""nonsense""", "weight_map")]
    public void Broken_index_is_refused_with_its_reason(string index, string reason)
    {
        var folder = TemporaryFolders.Create();
        SafetensorsWriter.Write(Path.Combine(folder, "part.safetensors"), [("w", [1], [1f])]);
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), index);

        var error = Assert.Throws<ModelFormatException>(() => Checkpoint.Open(folder));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Folder_without_weights_is_refused()
    {
        var folder = TemporaryFolders.Create();

        Assert.Contains(folder, Assert.Throws<ModelFormatException>(() => Checkpoint.Open(folder)).Message,
            StringComparison.Ordinal);
    }

    private static CheckpointSource Source(Checkpoint checkpoint) =>
        new(checkpoint, CheckpointNames.Plain, threads: 1);

    private static Checkpoint Open(params (string, long[], float[])[] tensors)
    {
        var folder = TemporaryFolders.Create();
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors);
        return Checkpoint.Open(folder);
    }

    private static Rectangle Whole(int rows) => new(new AxisRange(0, rows), new AxisRange(0, 1));

    private static float[] Read(
        CheckpointSource source, string name, long[] shape, Rectangle part, Action<long>? onBytes = null)
    {
        var values = new float[part.Elements];
        fixed (float* to = values)
        {
            source.Read(name, shape, part, to, ElementType.Float32, onBytes ?? (_ => { }),
                TestContext.Current.CancellationToken);
        }

        return values;
    }
}
