using Microsoft.AspNetCore.Components;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Gateway;
using SpotServe.Seed.Dashboard.Live;
using SpotServe.Seed.Fleet;

namespace SpotServe.Seed.Dashboard.Components;

/// <summary>Orders go to the planner as those of /admin do, and to processes of this machine's own fleet.</summary>
public sealed partial class NodesPanel
{
    private const int GraceMax = 3600;

    private int _graceSeconds = 30;
    private string _said = "";

    /// <summary>The machine that <see cref="_said"/> tells to have notice; null when it tells something else.</summary>
    private string? _noticed;

    /// <summary>The machine that is to be preempted once the button is pressed again; of a local fleet once
    /// suffices.</summary>
    private string? _asked;

    [Inject]
    internal IClusterOperator Cluster { get; set; } = null!;

    [Inject]
    internal IFleetOperator Fleet { get; set; } = null!;

    [Inject]
    internal LocalNodes Local { get; set; } = null!;

    [Inject]
    internal SpotServe.Actors.Gateway.ClusterBoard Board { get; set; } = null!;

    private int Present => Now.Nodes.Count(node => node.State != NodeState.Gone);

    private int Leaving => Now.Nodes.Count(node => node.State == NodeState.Leaving);

    /// <summary>What came of the last order, as far as it is still true.</summary>
    private string Said => _noticed is null
        ? _said
        : Now.Nodes.FirstOrDefault(node => node.Id == _noticed) switch
        {
            null => "",
            { State: NodeState.Gone } node => $"{node.Name} has left.",
            _ => _said,
        };

    private static bool CanLeave(NodeView node) => node.State is not (NodeState.Leaving or NodeState.Gone);

    private string State(NodeView node) => node switch
    {
        { State: NodeState.Leaving, Deadline: { } at } => $"leaves in {Whole(at - Now.At)} s",
        { State: NodeState.Gone, GoneAt: { } at } => $"gone for {Whole(Now.At - at)} s",
        _ => Texts.State(node.State),
    };

    private static string Machine(NodeView node) => node.Type is { } type
        ? $"{type}{(node.Zone is { } zone ? $", {zone}" : null)}, {(node.IsSpot ? "spot" : "on demand")}"
        : node.Kind;

    private static int Whole(TimeSpan time) => Math.Max(0, (int)Math.Ceiling(time.TotalSeconds));

    private async Task PreemptAsync(NodeView node)
    {
        if (!Now.IsLocal && _asked != node.Id)
        {
            _asked = node.Id;
            return;
        }

        _asked = null;
        var grace = Math.Clamp(_graceSeconds, 0, GraceMax);
        try
        {
            var refusal = await Cluster.PreemptAsync(node.Id, TimeSpan.FromSeconds(grace), CancellationToken.None);
            Say(refusal ?? $"{node.Name} has notice: it leaves within {grace} s.", refusal is null ? node.Id : null);
        }
        catch (PlannerSilentException error)
        {
            Say(error.Message);
        }
    }

    private void Kill(NodeView node)
    {
        var info = Board.View?.Nodes.FirstOrDefault(known => known.Node == node.Id);
        Say(info is null
            ? $"{node.Name} is gone already."
            : Local.Kill(info) ?? $"{node.Name} was killed without notice.");
    }

    private async Task AddAsync() => Say(
        await Fleet.ChangeSizeAsync(1, isMore: true, CancellationToken.None)
            ?? "One more node starts; it joins in some seconds.");

    private void Say(string what, string? noticed = null) => (_said, _noticed) = (what, noticed);
}
