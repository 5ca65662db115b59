namespace SpotServe.Tests.Tidy;

/// <summary>The checkout that the tests were built from.</summary>
internal static class Checkout
{
    /// <summary>The folder of SpotServe.sln.</summary>
    public static string Root { get; } = FindRoot();

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "SpotServe.sln"))) return folder.FullName;
        throw new InvalidOperationException(
            $"No SpotServe.sln above {AppContext.BaseDirectory}: run the tests in a checkout.");
    }
}
