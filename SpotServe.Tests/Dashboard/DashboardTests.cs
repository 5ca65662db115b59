using System.Net.Http.Json;
using Microsoft.Playwright;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Dashboard;

/// <summary>The dashboard in a real browser, on a real cluster of node processes.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class DashboardTests(DashboardCluster cluster) : IClassFixture<DashboardCluster>
{
    private const string Prompt = "Once upon a time";
    private const int Tokens = 800;

    /// <summary>What Web Vitals call good; nothing may move while it is looked at.</summary>
    private const double ShiftMax = 0.1;

    [Fact]
    public async Task Stream_in_the_page_ends_with_the_undisturbed_text_though_nodes_are_preempted_killed_and_added()
    {
        await using var page = await cluster.OpenAsync();
        var undisturbed = await Completions.WholeAsync(cluster.Http, Prompt, Tokens);
        await page.UntilAllServeAsync(4);

        await StreamThroughAsync(page, undisturbed, movesInTheMidst: true, async () =>
        {
            await page.Button($"Preempt {(await page.NodesAsync())[^1]}").ClickAsync();
            await page.Page.Locator("tr.leaving").WaitForAsync();
        });
        // The fleet manager starts a node for each that went.
        await page.UntilAllServeAsync(4);
        await page.UntilNoneHasNoticeAsync();
        await StreamThroughAsync(page, undisturbed, movesInTheMidst: true, async () =>
        {
            await page.Button($"Kill {(await page.NodesAsync())[0]}").ClickAsync();
            await page.UntilNodesAsync(3);
            await page.Page.Locator("#fleet-asked .pill.loading").First.WaitForAsync();
        });
        await page.UntilAllServeAsync(4);
        // Processes take so long to start that the text may be over before.
        await StreamThroughAsync(page, undisturbed, movesInTheMidst: false, async () =>
        {
            await page.Button("Add a node").ClickAsync();
            await page.Button("Add a node").ClickAsync();
            await page.UntilNodesAsync(6);
        });

        Assert.Contains(
            "it was lost without notice", await page.Page.Locator("#fleet-decided").InnerTextAsync(),
            StringComparison.Ordinal);
        // Of the whole cluster, from the metrics of its requests.
        await page.Page.Locator(".charts .chart:nth-child(4) .key.c b:not(:text('–'))").WaitForAsync();
        // An operator's smaller number holds at once.
        using var smaller = await cluster.Http.PostAsJsonAsync(
            "/admin/fleet", new { machines = 4 }, TestContext.Current.CancellationToken);
        await page.UntilAllServeAsync(4);
        Assert.InRange(await page.ShiftedAsync(), 0, ShiftMax);
    }

    [Fact]
    public async Task Layout_that_is_wished_for_is_served_and_shown()
    {
        await using var page = await cluster.OpenAsync();
        await page.UntilAllServeAsync(4);

        await page.Page.FillAsync("#wish-stages", "4");
        await page.Page.FillAsync("#wish-ranks", "1");
        await page.Page.ClickAsync("#wish-layout");

        await page.Page.Locator("#cluster[data-degrees='1,4,1']").WaitForAsync();
        await page.UntilAllServeAsync(4);
        Assert.Equal(4, await page.Page.Locator(".stage").CountAsync());
        await page.Button("Let the planner choose").ClickAsync();
        await page.Page.Locator("#cluster[data-degrees='1,2,2']").WaitForAsync();
        await page.UntilAllServeAsync(4);
    }

    [Fact]
    public async Task Terminal_shows_the_nodes_and_the_layout_that_the_page_shows()
    {
        await using var page = await cluster.OpenAsync();
        await page.UntilAllServeAsync(4);

        var (code, output, _) = await TerminalVerbTests.RunAsync(
            "", "top", "--url", cluster.Http.BaseAddress!.ToString());

        Assert.Equal(0, code);
        Assert.All(await page.NodesAsync(), node => Assert.Contains(node, output, StringComparison.Ordinal));
        Assert.Contains($"to {await page.DegreesAsync()}", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(400, ColorScheme.Dark)]
    [InlineData(1280, ColorScheme.Light)]
    public async Task Page_fits_its_window_without_scrolling_sideways(int width, ColorScheme scheme)
    {
        await using var page = await cluster.OpenAsync(width, scheme: scheme);

        // Less than none where room is kept for a scroll bar.
        Assert.InRange(await page.OverflowAsync(), int.MinValue, 0);
        await Assert.AllAsync(
            await page.Page.Locator("section.panel").AllAsync(),
            async panel => Assert.InRange((await panel.BoundingBoxAsync())!.Width, 200, width));
    }

    [Fact]
    public async Task Whatever_can_be_pressed_is_reached_and_pressed_by_keyboard()
    {
        await using var page = await cluster.OpenAsync();
        await page.UntilAllServeAsync(4);
        var reached = new HashSet<string>();

        for (var i = 0; i < 60; i++)
        {
            await page.Page.Keyboard.PressAsync("Tab");
            reached.Add(await page.Page.EvaluateAsync<string>(
                "() => { const at = document.activeElement; return at.id || at.ariaLabel || at.className; }"));
        }

        string[] wanted =
        [
            "skip", "prompt-text", "prompt-send", "prompt-answer", "grace", "add-node", "wish-layout", "fleet-asked",
            "fleet-decided",
        ];
        Assert.Empty(wanted.Except(reached));
        Assert.Contains(reached, name => name.StartsWith("Preempt node", StringComparison.Ordinal));
        Assert.Contains(reached, name => name.StartsWith("Kill node", StringComparison.Ordinal));
        await page.Page.Locator("#prompt-send").FocusAsync();
        await page.Page.Keyboard.PressAsync("Enter");
        await page.WholeAnswerAsync();
    }

    [Fact]
    public async Task Markup_in_an_answer_is_shown_as_text()
    {
        const string Markup = "<img src=x onerror=alert(1)>";
        await using var page = await cluster.OpenAsync();
        await page.Page.RouteAsync("**/v1/completions", route => route.FulfillAsync(new RouteFulfillOptions
        {
            ContentType = "text/event-stream",
            Body = "data: {\"choices\":[{\"text\":\"" + Markup + "\"}]}\n\ndata: [DONE]\n\n",
        }));

        await page.SendAsync(Markup, 1);

        Assert.Equal(Markup, await page.WholeAnswerAsync());
        Assert.Equal(0, await page.Answer.Locator("img").CountAsync());
    }

    /// <summary>Sends the prompt, does something to the cluster while the answer comes, and reads the undisturbed text,
    /// with a mark where the layout changed.</summary>
    private static async Task StreamThroughAsync(
        DashboardPage page, string undisturbed, bool movesInTheMidst, Func<Task> disturb)
    {
        await page.SendAsync(Prompt, Tokens);
        await page.UntilShownAsync(20);
        await disturb();

        Assert.Equal(undisturbed, await page.WholeAnswerAsync());
        if (movesInTheMidst) Assert.NotEqual(0, await page.Answer.Locator(".moved").CountAsync());
    }
}
