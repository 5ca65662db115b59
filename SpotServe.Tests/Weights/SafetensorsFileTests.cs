using System.Text;
using CsCheck;
using SpotServe.Actors.ModelFolder;
using SpotServe.Node.Weights;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Weights;

public sealed class SafetensorsFileTests
{
    private const string A = """ "a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]} """;

    [Fact]
    public void Well_formed_file_lists_its_tensors()
    {
        const string Others = """
            "__metadata__":{"format":"pt"},
            "b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]},
            "empty":{"dtype":"F16","shape":[0,5],"data_offsets":[22,22]},
            "mask":{"dtype":"BOOL","shape":[2],"data_offsets":[22,24]}
            """;

        using var file = SafetensorsFile.Open(Write("{" + A + "," + Others + "}", dataBytes: 24));

        Assert.Equal(["a", "b", "empty", "mask"], file.Tensors.Keys.Order());
        Assert.Equal([2L, 2L], file.Tensors["a"].Shape);
        Assert.Equal(6, file.Tensors["b"].Bytes);
        Assert.Null(file.Tensors["mask"].Type);
    }

    [Theory]
    [InlineData("{" + A + ""","b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}""", 20, "overlap")]
    [InlineData("{" + A + ""","b":{"dtype":"F32","shape":[2],"data_offsets":[20,28]}}""", 28, "gap")]
    [InlineData("""{"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "gap")]
    [InlineData("{" + A + "}", 15, "truncated")]
    [InlineData("{" + A + "}", 17, "end at")]
    [InlineData("{" + A + "," + A + "}", 16, "twice")]
    [InlineData("""{"b":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "takes 12 bytes")]
    [InlineData("""{"b":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}""", 8, "-1")]
    [InlineData("""{"b":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}""", 8, "2.5")]
    [InlineData("""{"b":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "claims bytes")]
    [InlineData("""{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,9223372036854775807]}}""", 8, "claims bytes")]
    [InlineData("""{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,99999999999999999999]}}""", 8, "99999")]
    [InlineData("""{"b":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}""", 8, "absurd")]
    [InlineData("""{"b":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}}""", 8, "9 dimensions")]
    [InlineData("""{"b":{"dtype":7,"shape":[2],"data_offsets":[0,8]}}""", 8, "dtype")]
    [InlineData("""{"b":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}""", 8, "shape")]
    [InlineData("""{"b":{"dtype":"F32","shape":[2],"data_offsets":[0]}}""", 8, "data_offsets")]
    [InlineData("""{"b":{"dtype":"F32","shape":[2],"\ud800":1,"offsets":[0,8]}}""", 8, "half of a surrogate")]
    [InlineData("""{"b":{"dtype":"\udfff","shape":[2],"data_offsets":[0,8]}}""", 8, "not valid text")]
    [InlineData("""{"b":[]}""", 0, "lacks")]
    [InlineData("""[1,2]""", 0, "object")]
    [InlineData("""{"b":""", 0, "JSON")]
    public void Lying_header_is_refused_with_its_reason(string header, int dataBytes, string reason)
    {
        var path = Write(header, dataBytes);

        var error = Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open(path));

        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { 1, 2, 3 })]
    [InlineData(new byte[] { 255, 255, 255, 255, 255, 255, 255, 255, 0 })]
    [InlineData(new byte[] { 0, 0, 0, 0, 0, 0, 0, 128 })]
    [InlineData(new byte[] { 200, 0, 0, 0, 0, 0, 0, 0, 123, 125 })]
    [InlineData(new byte[] { 0, 0, 0, 0, 0, 0, 0, 0 })]
    public void Absurd_length_is_refused(byte[] contents)
    {
        var path = TemporaryPath();
        File.WriteAllBytes(path, contents);

        Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open(path));
    }

    [Fact]
    public void Missing_file_is_named()
    {
        var error = Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open("/no/such/file.safetensors"));

        Assert.Contains("/no/such/file.safetensors", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_header_is_refused_or_stays_within_the_file()
    {
        var header = Encoding.UTF8.GetBytes("{" + A + ""","b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}}""");
        var good = new byte[8 + header.Length + 24];
        BitConverter.GetBytes((ulong)header.Length).CopyTo(good, 0);
        header.CopyTo(good, 8);
        var path = TemporaryPath();

        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte).Array[1, 4].Sample(
            damages =>
            {
                var bytes = (byte[])good.Clone();
                foreach (var (at, value) in damages) bytes[at] = value;
                AssertRefusedOrSound(path, bytes);
            },
            iter: 1000, threads: 1);
    }

    [Fact]
    public void Random_numbers_in_a_header_are_refused_or_stay_within_the_file()
    {
        var path = TemporaryPath();
        var number = Gen.OneOf(Gen.Long[-2, 40], Gen.Long, Gen.Const(long.MaxValue));
        var tensor = Gen.Select(Gen.OneOfConst("F32", "F16", "BF16", "I64", "X"), number.Array[0, 3], number, number);

        tensor.Array[1, 3].Sample(
            tensors =>
            {
                var entries = tensors.Select((t, i) => $$"""
                    "t{{i}}":{"dtype":"{{t.Item1}}","shape":[{{string.Join(',', t.Item2)}}],
                    "data_offsets":[{{t.Item3}},{{t.Item4}}]}
                    """);
                SafetensorsWriter.Write(path, "{" + string.Join(',', entries) + "}", new byte[32]);
                AssertRefusedOrSound(path, null);
            },
            iter: 1000, threads: 1);
    }

    private static void AssertRefusedOrSound(string path, byte[]? contents)
    {
        if (contents is not null) File.WriteAllBytes(path, contents);
        try
        {
            using var file = SafetensorsFile.Open(path);
            var length = new FileInfo(path).Length;
            foreach (var tensor in file.Tensors.Values)
                Assert.True(tensor.Offset >= 8 && tensor.Bytes >= 0 && tensor.Offset + tensor.Bytes <= length);
        }
        catch (ModelFormatException error)
        {
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', error.Message);
        }
    }

    private static string Write(string header, int dataBytes)
    {
        var path = TemporaryPath();
        SafetensorsWriter.Write(path, header, new byte[dataBytes]);
        return path;
    }

    private static string TemporaryPath() => Path.Combine(TemporaryFolders.Create(), "model.safetensors");
}
