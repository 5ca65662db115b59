using System.Text.Json;
using System.Text.Json.Serialization;
using SpotServe.Actors.Planning;
using SpotServe.Seed.Dashboard.Components;
using SpotServe.Seed.Dashboard.Live;
using SpotServe.Seed.Narration;

namespace SpotServe.Seed.Dashboard;

/// <summary>GET /admin/cluster: what the dashboard shows, as words and numbers for the terminal.</summary>
/// <param name="Changes">The latest reconfigurations, a line each.</param>
internal sealed record ClusterBody(
    string Model,
    string Phase,
    string Detail,
    long Epoch,
    bool Serves,
    double TokensPerSecond,
    int Running,
    int Waiting,
    double? CostPerHour,
    IReadOnlyList<NodeBody> Nodes,
    IReadOnlyList<PositionBody> Positions,
    IReadOnlyList<string> Changes)
{
    public static ClusterBody Of(ClusterSnapshot now, NodeNames names) => new(
        now.Model,
        Texts.Phase(now.Phase),
        names.InWords(now.StatusLine),
        now.Epoch,
        now.Serves,
        now.Load.TokensPerSecond,
        now.Load.Running,
        now.Load.Waiting,
        now.Cost.PerHour,
        [.. now.Nodes.Select(node => NodeBody.Of(node, now.At))],
        [
            .. from replica in now.Replicas
            from stage in replica.Stages
            from rank in stage.Ranks
            select new PositionBody(
                rank.Node,
                $"({replica.Index},{stage.Index},{rank.Index}) {stage.Layers}",
                Sizes.Text(rank.LoadedBytes),
                Sizes.Text(rank.PageBytes)),
        ],
        [
            .. now.Timeline.Select(change =>
                $"{change.StartedAt.LocalDateTime:HH:mm:ss} "
                + $"{Texts.Degrees(change.From)} to {Texts.Degrees(change.To)}: "
                + $"{names.InWords(change.Cause)}; {names.InWords(change.Outcome)}, pause "
                + (change.Pause is { } pause ? Texts.Seconds(pause) : "none")),
        ]);
}

/// <param name="Id">What /admin/nodes/{node}/preempt takes.</param>
/// <param name="SecondsLeft">Of a notice; null without one.</param>
internal sealed record NodeBody(
    string Id, string Name, string State, string Machine, string Memory, double? PricePerHour, int? SecondsLeft)
{
    public static NodeBody Of(NodeView node, DateTimeOffset now) => new(
        node.Id,
        node.Name,
        Texts.State(node.State),
        node.Type ?? node.Kind,
        node.Memory,
        node.Price,
        node.Deadline is { } at ? Math.Max(0, (int)Math.Ceiling((at - now).TotalSeconds)) : null);
}

/// <param name="Position">"(0,1,0) layers 4 to 7".</param>
internal sealed record PositionBody(string Node, string Position, string Weights, string Pages);

[JsonSerializable(typeof(ClusterBody))]
internal sealed partial class ClusterJson : JsonSerializerContext
{
    public static ClusterJson Plain { get; } =
        new(new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower });
}
