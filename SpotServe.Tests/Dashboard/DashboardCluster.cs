using Microsoft.Playwright;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Dashboard;

/// <summary>The one command with four nodes, and a browser to look at it with; nothing where no browser is.</summary>
public sealed class DashboardCluster : IAsyncLifetime
{
    private const string Browser = "/usr/bin/chromium";
    private IPlaywright? _playwright;
    private IBrowser? _browser;

    internal SeedProcess Seed { get; private set; } = null!;

    internal HttpClient Http { get; private set; } = null!;

    private static bool HasBrowser => File.Exists(Browser);

    public async ValueTask InitializeAsync()
    {
        if (!HasBrowser) return;
        (Seed, Http) = await SeedProcess.StartAsync("--port", "0", "--nodes", "4");
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = Browser,
            // Root has no sandbox; the page is our own.
            Args = ["--no-sandbox", "--disable-gpu"],
        });
    }

    public async ValueTask DisposeAsync()
    {
        if (_browser is not null) await _browser.DisposeAsync();
        _playwright?.Dispose();
        Http?.Dispose();
        if (Seed is not null) await Seed.DisposeAsync();
    }

    /// <summary>Opens the dashboard in a window of this size and waits until it is live.</summary>
    internal async Task<DashboardPage> OpenAsync(
        int width = 1280, int height = 900, ColorScheme scheme = ColorScheme.Light)
    {
        Assert.SkipUnless(HasBrowser, "Chromium is not installed; the dashboard is looked at with it.");
        var context = await _browser!.NewContextAsync(new BrowserNewContextOptions
        {
            ViewportSize = new ViewportSize { Width = width, Height = height },
            ColorScheme = scheme,
            ReducedMotion = ReducedMotion.Reduce,
        });
        return await DashboardPage.OpenAsync(context, new Uri(Http.BaseAddress!, "/dashboard"));
    }
}
