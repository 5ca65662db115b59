using Microsoft.Playwright;
using SpotServe.Tests.EndToEnd;
using SpotServe.Tests.Tidy;
using Xunit;

namespace SpotServe.Tests.Dashboard;

/// <summary>Takes the pictures of docs/ anew; run by command alone.</summary>
[Collection(nameof(OneClusterAtATime))]
public sealed class DashboardPicture(DashboardCluster cluster) : IClassFixture<DashboardCluster>
{
    [Fact(Explicit = true)]
    public async Task Picture_of_a_stream_that_two_nodes_left()
    {
        await using var page = await cluster.OpenAsync(1280, 1440, ColorScheme.Dark);
        await page.UntilAllServeAsync(4);
        await page.SendAsync("Once upon a time", 900);
        await page.UntilShownAsync(100);
        await page.Button($"Kill {(await page.NodesAsync())[1]}").ClickAsync();
        await page.UntilAllServeAsync(3);
        // The fleet manager starts a node for the one that went.
        await page.UntilAllServeAsync(4);
        await page.WholeAnswerAsync();
        await page.SendAsync("Once upon a time", 900);
        await page.UntilShownAsync(700);
        await page.Button($"Preempt {(await page.NodesAsync())[2]}").ClickAsync();
        await page.Page.Locator(".moved").First.WaitForAsync();
        await page.UntilShownAsync(1200);
        var folder = Path.Combine(Checkout.Root, "docs");
        await page.Page.ScreenshotAsync(new() { Path = Path.Combine(folder, "dashboard.png") });
        var beside = Path.GetTempPath();
        await page.Page.ScreenshotAsync(new() { Path = Path.Combine(beside, "dashboard-1280.png"), FullPage = true });
        await page.Page.SetViewportSizeAsync(400, 900);
        await page.Page.ScreenshotAsync(new() { Path = Path.Combine(beside, "dashboard-400.png"), FullPage = true });
    }
}
