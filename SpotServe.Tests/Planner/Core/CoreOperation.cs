using CsCheck;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Tests.Planner.Core;

/// <summary>Something that happens to a core. What it names is picked from what there is by then.</summary>
/// <param name="Pick">Which node, message or time, of those that there are.</param>
internal sealed record CoreOperation(CoreOperation.Kind What, int Pick)
{
    private const int NodesMax = 6;
    private static readonly LayoutObjective?[] Objectives =
        [null, new(Objective.Latency), new(Objective.Throughput)];

    public static Gen<CoreOperation> Any { get; } = Gen.Select(
        Gen.Frequency(
            (12, Gen.Const(Kind.DeliverAll)),
            (10, Gen.Const(Kind.Deliver)),
            (8, Gen.Const(Kind.Tick)),
            (8, Gen.Const(Kind.Pass)),
            (2, Gen.Const(Kind.PassInSilence)),
            (5, Gen.Const(Kind.Join)),
            (4, Gen.Const(Kind.Notice)),
            (2, Gen.Const(Kind.Hint)),
            (4, Gen.Const(Kind.Kill)),
            (3, Gen.Const(Kind.Drop)),
            (3, Gen.Const(Kind.Double)),
            (3, Gen.Const(Kind.Repeat)),
            (1, Gen.Const(Kind.FailWrite)),
            (1, Gen.Const(Kind.Recover)),
            (2, Gen.Const(Kind.DeviceFails)),
            (2, Gen.Const(Kind.Silence)),
            (1, Gen.Const(Kind.ReplicaFails)),
            (1, Gen.Const(Kind.Forget)),
            (2, Gen.Const(Kind.AskLayout)),
            (1, Gen.Const(Kind.AskObjective)),
            (2, Gen.Const(Kind.Demand)),
            (2, Gen.Const(Kind.LoseCommands)),
            (2, Gen.Const(Kind.Nonsense))),
        Gen.Int[0, 999],
        (what, pick) => new CoreOperation(what, pick));

    public enum Kind
    {
        DeliverAll,
        Deliver,
        Tick,
        Pass,
        PassInSilence,
        Join,
        Notice,
        Hint,
        Kill,
        Drop,
        Double,
        Repeat,
        FailWrite,
        Recover,
        DeviceFails,
        Silence,
        ReplicaFails,
        Forget,
        AskLayout,
        AskObjective,
        Demand,
        LoseCommands,
        Nonsense,
    }

    /// <param name="memoryBytes">Of the devices of nodes that join.</param>
    public void Do(CoreRun run, long memoryBytes)
    {
        var world = run.World;
        switch (What)
        {
            case Kind.DeliverAll:
                run.DeliverAll();
                break;
            case Kind.Deliver or Kind.Drop or Kind.Double or Kind.Repeat:
                DoWithMail(run);
                break;
            case Kind.Tick:
                run.Pass(TimeSpan.FromMilliseconds(50), nodesReport: true);
                break;
            case Kind.Pass:
                run.Pass(TimeSpan.FromMilliseconds(Pick), nodesReport: true, mailArrives: Pick % 2 == 0);
                break;
            case Kind.PassInSilence:
                run.Pass(TimeSpan.FromMilliseconds(6 * Pick), nodesReport: false);
                break;
            case Kind.Join when world.Living.Count() < NodesMax:
                foreach (var report in world.Join(1 + (Pick % 2), memoryBytes).Reports().ToList()) run.Hear(report);
                break;
            case Kind.FailWrite:
                run.FailNextWrite();
                break;
            case Kind.Recover:
                run.Recover();
                break;
            case Kind.LoseCommands:
                run.CommandsToLose += Pick % 8;
                break;
            case Kind.AskLayout or Kind.AskObjective or Kind.Demand:
                run.Hear(Wish());
                break;
            default:
                if (world.Living.ToList() is { Count: > 0 } nodes) DoTo(run, nodes[Pick % nodes.Count]);
                break;
        }
    }

    public override string ToString() => $"{What} {Pick}";

    private void DoWithMail(CoreRun run)
    {
        var mail = run.World.Mail;
        if (What == Kind.Repeat && run.HeardBefore.Count > 0) run.Hear(run.HeardBefore[Pick % run.HeardBefore.Count]);
        else if (mail.Count == 0) return;
        else if (What == Kind.Deliver) run.Deliver(Pick % mail.Count);
        else if (What == Kind.Double) run.Hear(mail[Pick % mail.Count]);
        else if (What == Kind.Drop) mail.RemoveAt(Pick % mail.Count);
    }

    private void DoTo(CoreRun run, CoreNode node)
    {
        var world = run.World;
        var state = run.State;
        switch (What)
        {
            case Kind.Notice:
                // From hardly any time to plenty; a later one that is later changes nothing.
                var deadline = run.Now + TimeSpan.FromMilliseconds(30 * Pick);
                if (node.Deadline is null || deadline < node.Deadline) node.Deadline = deadline;
                break;
            case Kind.Hint:
                node.LeavesAt ??= run.Now + TimeSpan.FromSeconds(25);
                run.Hear(new MemberLeaving(CoreWorld.HostOf(node)));
                break;
            case Kind.Kill:
                world.End(node);
                break;
            case Kind.Silence:
                if (Pick % 3 == 0) run.Hear(new MemberUnreachable(CoreWorld.HostOf(node)));
                else if (Pick % 3 == 1) run.Hear(new MemberRefuses(CoreWorld.HostOf(node)));
                else run.Hear(new MemberSuspected(CoreWorld.HostOf(node)));
                break;
            case Kind.Forget:
                run.Hear(new MemberLost(CoreWorld.HostOf(node), "was downed"));
                break;
            case Kind.DeviceFails:
                if (node.Running.FirstOrDefault() is not { Epoch.Value: > 0 } at) break;
                var other = world.Nodes[Pick % world.Nodes.Count].Name;
                var kind = Pick % 3 == 0 ? FailureKind.Device : FailureKind.Peer;
                world.Break(node, new ClusterProtocol.DeviceFailed(
                    at.Epoch, at.Device, "made to fail", kind == FailureKind.Peer ? other : null, Pick % 2 == 0)
                {
                    Kind = kind,
                });
                break;
            case Kind.ReplicaFails when state.Active is { } active:
                run.Hear(new ReplicaControlProtocol.ReplicaLost(
                    active.Epoch, Pick % active.Layout.Degrees.Replicas, "made to fail"));
                break;
            case Kind.Nonsense:
                foreach (var message in Nonsense(state, node)) run.Hear(message);
                break;
        }
    }

    private object Wish()
    {
        var asker = new CoreAddress("operator", null);
        var gateway = new CoreAddress($"gateway {Pick}", null);
        return (What, Pick % 4) switch
        {
            (Kind.AskLayout, 0) => new PlannerInputs.LayoutAsked(null, asker),
            (Kind.AskLayout, _) => new PlannerInputs.LayoutAsked(
                new LayoutDegrees(1 + (Pick % 2), 1 + (Pick / 2 % 3), 1 + (Pick / 6 % 2), 8), asker),
            (Kind.AskObjective, _) => new PlannerInputs.ObjectiveAsked(Objectives[Pick % 3], asker),
            (_, 0) => new PlannerInputs.GatewayReported(gateway),
            (_, 1) => new PlannerInputs.GatewayGone(gateway),
            _ => new PlannerInputs.DemandReported(gateway, new GatewayDemand(Pick, 40, 40, Pick % 7)),
        };
    }

    /// <summary>What no node that works would say.</summary>
    private IEnumerable<object> Nonsense(PlannerState state, CoreNode node)
    {
        var epoch = Pick % 3 == 0 ? state.Journal.Epoch.Next : state.Journal.Epoch;
        var nobody = new DeviceId($"nobody#{Pick}", Pick % 4);
        yield return new ClusterProtocol.DeviceFailed(epoch, nobody, "nonsense", $"noone#{Pick}", Pick % 2 == 0)
        {
            Kind = FailureKind.Peer,
        };
        yield return new ClusterProtocol.DeviceFailed(epoch, nobody, "nonsense", node.Name, IsSilent: true)
        {
            Kind = FailureKind.Peer,
        };
        yield return new ClusterProtocol.DevicePrepared(epoch, nobody, 1);
        yield return new ClusterProtocol.DeviceConnected(epoch, nobody);
        yield return new PlannerInputs.LeaderStarted(epoch, 7, node.Address);
        yield return new ClusterProtocol.DeviceLoading(epoch, nobody, new LoadProgress(1, 1, 1, 1));
        yield return new ReplicaControlProtocol.Drained(epoch, 9);
        yield return new ReplicaControlProtocol.ReplicaCacheReport(state.Active?.Epoch ?? epoch, 9, []);
        yield return new ReplicaControlProtocol.ReplicaLoad(state.Active?.Epoch ?? epoch, 9, 0, 1, 8, 1, 9, 1, 1, 0);
        yield return new HandoverProtocol.ReplicaServes(epoch, 9, 1, 1, 1, 1);
        yield return new HandoverProtocol.HandoverReady(epoch, 9, epoch);
        yield return new PlannerInputs.HoldingsReported(state.Round, nobody.Node, []);
        yield return new ClusterProtocol.NodeNotice(nobody.Node, default, "file");
    }
}
