namespace SpotServe.Tests.Planning;

/// <summary>Measured data that lies beside the checkout, where it does; tests that need it skip where it does
/// not.</summary>
internal static class SharedData
{
    /// <summary>Text of a file under the sibling folder "shared"; skips the test when it is absent.</summary>
    public static string Read(params string[] path) => File.ReadAllText(Golden.Checkout.Shared(path));

    public static string Profile(string name) =>
        Read("traces", "spotserve", "profiles", "T4-4x", $"megatron_{name}_profile.json");
}
