using SpotServe.Seed.Tokenization;

namespace SpotServe.Tests.Tokenization;

/// <summary>Finds the bundled tokenizer, and those in the shared folder beside the checkout.</summary>
internal static class TokenizerFiles
{
    private static readonly Lazy<ITokenizer> LazyBundled = new(() => TokenizerLoader.Load(BundledFolder));

    public static string BundledFolder => Path.Combine(Checkout, "SpotServe.Seed", "models", "tinystories-4m");

    public static ITokenizer Bundled => LazyBundled.Value;

    private static string Checkout => Ancestors().First(d => File.Exists(Path.Combine(d, "SpotServe.sln")));

    /// <summary>A path in the shared folder; skips the test when the folder is not there.</summary>
    public static string Shared(params string[] path) => Golden.Checkout.Shared(path);

    private static IEnumerable<string> Ancestors()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            yield return folder.FullName;
    }
}
