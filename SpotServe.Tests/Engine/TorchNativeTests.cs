using System.Runtime.InteropServices;
using CsCheck;
using SpotServe.Node.Engine;
using TorchSharp;
using Xunit;

namespace SpotServe.Tests.Engine;

[Collection("Engine")]
public sealed partial class TorchNativeTests
{
    private static readonly string Library =
        Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", "libLibTorchSharp.so");

    [Fact]
    public void Loading_twice_is_loading_once()
    {
        TorchNative.EnsureLoaded();
        TorchNative.EnsureLoaded();

        Assert.NotNull(TorchNative.LoadedFrom);
        using var sum = torch.ones(3, 3).sum();
        Assert.Equal(9, sum.item<float>());
    }

    /// <summary>Alone it shows that nothing waits for libtorch to be loaded, when other threads run.</summary>
    [Fact]
    public void Settings_of_native_libraries_are_there_from_the_programs_start()
    {
        Assert.Equal("passive", Marshal.PtrToStringUTF8(GetEnv("OMP_WAIT_POLICY")));
        Assert.Equal("1", Marshal.PtrToStringUTF8(GetEnv("THP_MEM_ALLOC_ENABLE")));
    }

    [Fact]
    public void Another_folder_after_loading_is_refused()
    {
        TorchNative.EnsureLoaded();

        var error = Assert.Throws<TorchLoadException>(() => TorchNative.EnsureLoaded(Path.GetTempPath()));

        Assert.Contains("already loaded", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpu")]
    [InlineData("cuda:x")]
    [InlineData("cuda:-1")]
    public void Unknown_device_is_refused_by_name(string device)
    {
        var error = Assert.Throws<ArgumentException>(() => TorchDevices.Open(device, null, 1));

        Assert.Contains(device, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Patch_changes_the_symbol_and_its_versions_alone()
    {
        var original = File.ReadAllBytes(Library);
        var patched = (byte[])original.Clone();

        Assert.True(ElfPatch.Apply(patched));

        var changed = Enumerable.Range(0, original.Length).Count(i => original[i] != patched[i]);
        Assert.InRange(changed, 3, 32);
    }

    [Fact]
    public void Patch_refuses_what_is_no_library()
    {
        Assert.Throws<InvalidDataException>(() => ElfPatch.Apply([]));
        Assert.Throws<InvalidDataException>(() => ElfPatch.Apply(new byte[4096]));
        Assert.Throws<InvalidDataException>(() => ElfPatch.Apply(File.ReadAllBytes(Library).AsSpan(0, 100_000)));
    }

    [Fact]
    public void Patch_of_damaged_tables_is_refused_or_stays_within_the_file()
    {
        var original = File.ReadAllBytes(Library);
        var table = (int)BitConverter.ToInt64(original, 40);

        Gen.Select(Gen.Int[0, original.Length - table - 1], Gen.Byte).Array[1, 6].Sample(
            damages =>
            {
                var image = (byte[])original.Clone();
                foreach (var (at, value) in damages) image[table + at] = value;
                try
                {
                    ElfPatch.Apply(image);
                }
                catch (InvalidDataException)
                {
                    // Refused: as good as patched.
                }
            },
            iter: 60, threads: 1);
    }

    [LibraryImport("libc.so.6", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint GetEnv(string name);
}
