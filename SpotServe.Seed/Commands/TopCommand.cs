using System.CommandLine;
using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;
using SpotServe.Seed.Dashboard;

namespace SpotServe.Seed.Commands;

/// <summary>`top`: the cluster in the terminal, once a second, from GET /admin/cluster.</summary>
internal static class TopCommand
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);
    private static readonly ServerFlags Server = new();

    private static readonly Option<bool> Once = new("--once")
    {
        Description = "Print it once and end; so it is too where the output is no terminal.",
    };

    public static Command Create()
    {
        var command = new Command("top", "Shows what a seed's cluster does, until Ctrl-C.");
        Server.AddTo(command);
        command.Options.Add(Once);
        command.SetAction((parsed, cancel) => RootCommands.Serving(() => RunAsync(parsed, cancel), cancel));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancel)
    {
        using var client = Server.Open(parsed);
        var first = Picture(await AskAsync(client, cancel));
        if (parsed.GetValue(Once) || Console.IsOutputRedirected)
        {
            AnsiConsole.Write(first);
            return 0;
        }

        await AnsiConsole.Live(first).StartAsync(async live =>
        {
            using var timer = new PeriodicTimer(Period);
            while (await timer.WaitForNextTickAsync(cancel))
            {
                live.UpdateTarget(Picture(await AskAsync(client, cancel)));
                live.Refresh();
            }
        });
        return 0;
    }

    private static async Task<ClusterBody> AskAsync(HttpClient client, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/admin/cluster");
        using var response = await ServerFlags.AskAsync(client, request, cancel);
        return (await response.Content.ReadFromJsonAsync(ClusterJson.Plain.ClusterBody, cancel))!;
    }

    private static Rows Picture(ClusterBody cluster)
    {
        var nodes = new Table().Border(TableBorder.Rounded).Expand();
        nodes.AddColumns("Node", "State", "Machine", "Memory", "Position", "Weights", "KV pages");
        foreach (var node in cluster.Nodes)
        {
            var places = cluster.Positions.Where(position => position.Node == node.Name).ToArray();
            nodes.AddRow(
                Text(node.Name),
                new Markup(State(node)),
                Text(node.Machine),
                Text(node.Memory),
                Text(string.Join(", ", places.Select(place => place.Position))),
                Text(string.Join(", ", places.Select(place => place.Weights))),
                Text(string.Join(", ", places.Select(place => place.Pages))));
        }

        return new Rows(
            Text($"SpotServe {cluster.Model}: {cluster.Phase}. {cluster.Detail}"),
            Text(string.Create(
                CultureInfo.InvariantCulture,
                $"{cluster.TokensPerSecond:0.0} tokens a second; {cluster.Running} running, "
                + $"{cluster.Waiting} waiting")),
            nodes,
            new Rows(cluster.Changes.Take(5).Select(Text)));
    }

    private static string State(NodeBody node)
    {
        var colour = node.State switch
        {
            "serving" => "green",
            "leaving" => "yellow",
            "gone" => "red",
            _ => "blue",
        };
        var left = node.SecondsLeft is { } seconds ? $" in {seconds} s" : "";
        return $"[{colour}]{Markup.Escape(node.State)}{left}[/]";
    }

    private static IRenderable Text(string text) => new Text(text);
}
