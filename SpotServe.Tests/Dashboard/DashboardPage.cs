using System.Collections.Concurrent;
using Microsoft.Playwright;
using Xunit;

namespace SpotServe.Tests.Dashboard;

/// <summary>The page as a person uses it. Its disposal fails the test when the browser has complained.</summary>
internal sealed class DashboardPage : IAsyncDisposable
{
    /// <summary>By how much things have moved at most at one time without the user's doing. As in the Web Vitals' CLS,
    /// what moves within a second of the last time, and within five in all, is one time: rows of a list that come and
    /// go for a minute are no jump.</summary>
    private const string CountShifts =
        """
        window.shifted = 0;
        let first = 0, last = 0, sum = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) {
            if (entry.hadRecentInput) continue;
            if (entry.startTime - last > 1000 || entry.startTime - first > 5000) {
              first = entry.startTime;
              sum = 0;
            }
            last = entry.startTime;
            sum += entry.value;
            window.shifted = Math.max(window.shifted, sum);
          }
        }).observe({ type: "layout-shift", buffered: true });
        """;

    private readonly IBrowserContext _context;
    private readonly ConcurrentQueue<string> _complaints = [];

    private DashboardPage(IBrowserContext context, IPage page)
    {
        _context = context;
        Page = page;
        page.SetDefaultTimeout((float)Waits.Max.TotalMilliseconds);
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning") _complaints.Enqueue(message.Text);
        };
        page.PageError += (_, error) => _complaints.Enqueue(error);
    }

    public IPage Page { get; }

    public ILocator Answer => Page.Locator("#prompt-answer");

    public static async Task<DashboardPage> OpenAsync(IBrowserContext context, Uri address)
    {
        var page = new DashboardPage(context, await context.NewPageAsync());
        await page.Page.AddInitScriptAsync(CountShifts);
        await page.Page.GotoAsync(address.ToString());
        // The first answer is a picture: its buttons wait for the connection that they work by.
        await page.Page.Locator("#add-node:enabled").WaitForAsync();
        await page.Page.Locator("#wish-layout:enabled").WaitForAsync();
        return page;
    }

    /// <summary>"1,2,2", of the layout that serves or gets ready.</summary>
    public async Task<string?> DegreesAsync() => await Page.Locator("#cluster").GetAttributeAsync("data-degrees");

    public ILocator Button(string name) => Page.GetByRole(AriaRole.Button, new() { Name = name, Exact = true });

    /// <summary>Short names of the nodes that are there.</summary>
    public async Task<string[]> NodesAsync() =>
        [.. await Page.Locator("tbody tr:not(.gone) th").AllTextContentsAsync()];

    public async Task UntilNodesAsync(int count) => await Page.WaitForFunctionAsync(
        "count => document.querySelectorAll('tbody tr:not(.gone)').length === count", count);

    /// <summary>Waits until every node that is there serves.</summary>
    public async Task UntilAllServeAsync(int count) => await Page.WaitForFunctionAsync(
        "count => document.querySelectorAll('tbody tr.serving').length === count"
        + " && document.querySelector('.phase').textContent === 'Serving'",
        count);

    /// <summary>Waits until the panel of nodes no longer says that one has notice.</summary>
    public async Task UntilNoneHasNoticeAsync() => await Page.WaitForFunctionAsync(
        "() => !document.querySelector('.nodes [role=status]').textContent.includes('has notice')");

    public async Task SendAsync(string prompt, int tokens)
    {
        await Page.FillAsync("#prompt-text", prompt);
        await Page.FillAsync("#prompt-tokens", $"{tokens}");
        await Page.CheckAsync("#prompt-past-end");
        await Page.ClickAsync("#prompt-send");
    }

    /// <summary>Waits until the stream has shown this many characters.</summary>
    public async Task UntilShownAsync(int characters) => await Page.WaitForFunctionAsync(
        "count => document.querySelector('#prompt-answer').textContent.length >= count", characters);

    /// <summary>Waits until the stream has ended as it should, and gives all that it has shown.</summary>
    public async Task<string> WholeAnswerAsync()
    {
        await Page.Locator("#prompt-answer:not([data-state=streaming])").WaitForAsync();
        Assert.Equal("done", await Answer.GetAttributeAsync("data-state"));
        return (await Answer.TextContentAsync())!;
    }

    public async Task<double> ShiftedAsync() => await Page.EvaluateAsync<double>("() => window.shifted");

    /// <summary>By how many pixels the page is wider than the window.</summary>
    public async Task<int> OverflowAsync() => await Page.EvaluateAsync<int>(
        "() => document.documentElement.scrollWidth - document.documentElement.clientWidth");

    public async ValueTask DisposeAsync()
    {
        await _context.DisposeAsync();
        Assert.Empty(_complaints);
    }
}
