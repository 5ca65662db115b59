using System.Security.Cryptography;
using SpotServe.Node.Weights;
using Xunit;

namespace SpotServe.Tests.Weights;

public sealed class WholeHashTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("spotserve-whole-hash-").FullName;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private string Cache => Path.Combine(_folder, "cache");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Hash_is_of_all_bytes_of_all_files_in_order()
    {
        var (a, b) = (Write("a", 300_000), Write("b", 1));

        var hash = await HashOfAsync(a, b);

        Assert.Equal(
            Convert.ToHexStringLower(SHA256.HashData([.. File.ReadAllBytes(a), .. File.ReadAllBytes(b)])), hash);
        Assert.NotEqual(hash, await HashOfAsync(b, a));
    }

    [Fact]
    public async Task Files_are_read_once_until_one_of_them_changes()
    {
        var path = Write("a", 1_000);
        var before = await HashOfAsync(path);
        var written = File.GetLastWriteTimeUtc(path);

        // Behind the cache's back, to see whether it reads again.
        Overwrite(path, at: 500);
        File.SetLastWriteTimeUtc(path, written);
        var kept = await HashOfAsync(path);
        File.SetLastWriteTimeUtc(path, written.AddSeconds(1));
        var fresh = await HashOfAsync(path);

        Assert.Equal(before, kept);
        Assert.NotEqual(before, fresh);
    }

    [Fact]
    public async Task One_bit_anywhere_makes_another_hash()
    {
        var before = await HashOfAsync(Write("a", 40_000));
        var other = Write("b", 40_000);
        Overwrite(other, at: 33_333);

        Assert.NotEqual(before, await HashOfAsync(other));
    }

    [Fact]
    public async Task What_the_cache_holds_that_is_no_hash_is_read_over()
    {
        var path = Write("a", 1_000);
        var hash = await HashOfAsync(path);
        File.WriteAllText(Assert.Single(Directory.GetFiles(Cache)), new string('z', 64));

        Assert.Equal(hash, await HashOfAsync(path));
    }

    [Fact]
    public async Task Cache_that_cannot_be_written_costs_another_reading_only()
    {
        File.WriteAllText(Cache, "no folder");
        var path = Write("a", 1_000);

        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path))), await HashOfAsync(path));
    }

    private Task<string?> HashOfAsync(params string[] paths) =>
        new WholeHash(Cache, 4_000_000, TimeProvider.System).OfAsync(paths, Cancel);

    private string Write(string name, int bytes)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllBytes(path, [.. Enumerable.Range(0, bytes).Select(i => (byte)(i * 31))]);
        return path;
    }

    private static void Overwrite(string path, int at)
    {
        using var file = new FileStream(path, FileMode.Open);
        file.Position = at;
        var old = file.ReadByte();
        file.Position = at;
        file.WriteByte((byte)(old ^ 1));
    }
}
