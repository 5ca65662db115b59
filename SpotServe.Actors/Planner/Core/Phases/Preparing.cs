using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.Planner;

/// <summary>Devices get the weights of their positions, from peers or their folder, and make room for pages.</summary>
/// <param name="WaitingFor">Devices that are not ready.</param>
/// <param name="Commands">What each device is told, and told again until it is ready: made once, because a large
/// layout's are many.</param>
internal sealed record Preparing(
    Change Change,
    DateTimeOffset Limit,
    DateTimeOffset RepeatAt,
    ImmutableSortedSet<DeviceId> WaitingFor,
    ImmutableArray<ClusterProtocol.PreparePosition> Commands)
    : GettingReady(Change, Limit, RepeatAt)
{
    protected override string Missing => string.Join(", ", WaitingFor);

    public static void Begin(Turn turn, Change change)
    {
        var preparing = turn.Enter(
            new Preparing(
                change, turn.Now + turn.Limits.ProgressMax, turn.Now + turn.Limits.RepeatAfter,
                [.. change.Layout.Placement], CommandsOf(turn, change)),
            $"getting {change.Layout.Degrees} ready");
        var lost = change.Layout.Placement.Select(device => device.Node)
            .FirstOrDefault(node => !turn.State.Nodes.ContainsKey(node));
        if (lost is null) preparing.Repeat(turn);
        else preparing.GiveUp(turn, $"node {lost} was lost before its weights were asked for");
    }

    public override bool Hear(Turn turn, object message)
    {
        if (message is not ClusterProtocol.DevicePrepared prepared || prepared.Epoch != Epoch)
            return base.Hear(turn, message);
        if (!WaitingFor.Contains(prepared.Device)) return true;
        turn.Info("{Device} is ready after {Seconds:0.00} s", prepared.Device, prepared.Seconds);
        var next = this with
        {
            WaitingFor = WaitingFor.Remove(prepared.Device),
            Limit = turn.Now + turn.Limits.ProgressMax,
        };
        turn.Stay(next);
        if (next.WaitingFor.IsEmpty) Connecting.Begin(turn, Change);
        return true;
    }

    protected override void Repeat(Turn turn)
    {
        foreach (var command in Commands)
        {
            if (WaitingFor.Contains(command.Device)) turn.Command(command.Device, command);
        }
    }

    private static ImmutableArray<ClusterProtocol.PreparePosition> CommandsOf(Turn turn, Change change)
    {
        var (decision, layout) = (change.Decision, change.Layout);
        var shared = decision.Origin?.SharedOn.ToHashSet() ?? [];
        var commands = ImmutableArray.CreateBuilder<ClusterProtocol.PreparePosition>(layout.Placement.Length);
        foreach (var position in layout.Positions)
        {
            var device = layout.DeviceAt(position);
            var assignment = new StageAssignment(
                change.Epoch,
                position,
                layout.LayersOf(position),
                layout.Degrees.Stages,
                layout.Degrees.Ranks,
                decision.Pages[position.Replica],
                turn.Options.StepTokensMax,
                turn.Options.SequencesMax)
            {
                KeepsPrefixes = turn.Options.KeepsPrefixes,
            };
            var weights = decision.Orders.GetValueOrDefault(device, []);
            var order = new PreparationOrder(
                assignment,
                weights,
                shared.Contains(device) ? decision.Origin!.Epoch : null)
            {
                Predecessor = decision.KeepsServing ? change.Before?.Epoch : null,
                FreesFirst = decision.FreesFirst.Contains(device),
            };
            // Of its own sources only: thousands of devices are not each told of all others.
            var endpoints = turn.Endpoints(weights.Select(piece => piece.From.Node));
            commands.Add(new ClusterProtocol.PreparePosition(change.Epoch, device, order, endpoints)
            {
                Term = turn.State.Journal.Term,
            });
        }

        return commands.MoveToImmutable();
    }
}
