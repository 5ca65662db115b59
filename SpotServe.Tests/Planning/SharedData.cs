using Xunit;

namespace SpotServe.Tests.Planning;

/// <summary>Measured data that lies beside the checkout, where it does; tests that need it skip where it does
/// not.</summary>
internal static class SharedData
{
    /// <summary>Text of a file under the sibling folder "shared"; skips the test when it is absent.</summary>
    public static string Read(params string[] path)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var file = Path.Combine([folder.FullName, "shared", .. path]);
            if (File.Exists(file)) return File.ReadAllText(file);
        }

        Assert.Skip($"shared/{string.Join('/', path)} is not beside the checkout.");
        return "";
    }

    public static string Profile(string name) =>
        Read("traces", "spotserve", "profiles", "T4-4x", $"megatron_{name}_profile.json");
}
