using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.Planner;

/// <summary>Devices get the weights of their positions, from peers or their folder, and make room for pages.</summary>
/// <param name="WaitingFor">Devices that are not ready.</param>
internal sealed record Preparing(
    Change Change, DateTimeOffset Limit, DateTimeOffset RepeatAt, ImmutableSortedSet<DeviceId> WaitingFor)
    : GettingReady(Change, Limit, RepeatAt)
{
    protected override string Missing => string.Join(", ", WaitingFor);

    public static void Begin(Turn turn, Change change)
    {
        var preparing = turn.Enter(
            new Preparing(
                change, turn.Now + turn.Limits.ProgressMax, turn.Now + turn.Limits.RepeatAfter,
                [.. change.Layout.Placement]),
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
        var decision = Change.Decision;
        var endpoints = turn.Endpoints(decision.Orders.Values.SelectMany(orders => orders)
            .Select(order => order.From.Node));
        var shared = decision.Origin?.SharedOn.ToHashSet() ?? [];
        foreach (var position in Layout.Positions)
        {
            var device = Layout.DeviceAt(position);
            if (!WaitingFor.Contains(device)) continue;
            var assignment = new StageAssignment(
                Epoch,
                position,
                Layout.LayersOf(position),
                Layout.Degrees.Stages,
                Layout.Degrees.Ranks,
                decision.Pages[position.Replica],
                turn.Options.StepTokensMax,
                turn.Options.SequencesMax)
            {
                KeepsPrefixes = turn.Options.KeepsPrefixes,
            };
            var order = new PreparationOrder(
                assignment,
                decision.Orders.GetValueOrDefault(device, []),
                shared.Contains(device) ? decision.Origin!.Epoch : null)
            {
                Predecessor = decision.KeepsServing ? Change.Before?.Epoch : null,
                FreesFirst = decision.FreesFirst.Contains(device),
            };
            turn.Command(device, new ClusterProtocol.PreparePosition(Epoch, device, order, endpoints)
            {
                Term = turn.State.Journal.Term,
            });
        }
    }
}
