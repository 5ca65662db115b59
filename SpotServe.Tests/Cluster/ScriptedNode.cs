using System.Collections.Immutable;
using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

/// <summary>A node as the planner sees it: answers what it holds, and hands every command to a probe.</summary>
internal sealed class ScriptedNode(string name, TestProbe commands)
{
    public string Name => name;

    public DeviceId Device => new(name, 0);

    public TestProbe Commands => commands;

    /// <summary>A node that hangs answers nothing.</summary>
    public bool Answers { get; set; } = true;

    public ImmutableArray<PositionReport> Positions { get; set; } = [];

    public ImmutableArray<DeviceInfo> Devices { get; init; } = [new DeviceInfo(0, "cpu", 8L << 30)];

    public ImmutableArray<WeightSlice> Weights { get; set; } = [];

    /// <summary>What it reports to have measured.</summary>
    public SourceRates? Rates { get; set; }

    public NodeInfo Info => new(name, "127.0.0.1:1", Devices) { Rates = Rates };

    public Props Props() => Akka.Actor.Props.Create(() => new Actor(this));

    private sealed class Actor : ReceiveActor
    {
        public Actor(ScriptedNode node)
        {
            Receive<GetHoldings>(question =>
            {
                if (!node.Answers) return;
                Sender.Tell(new NodeHoldings(
                    question.Round, node.Name, [new DeviceHoldings(node.Device, node.Weights, node.Positions)]));
            });
            ReceiveAny(node.Commands.Forward);
        }
    }
}

/// <summary>A cluster whose losses the test tells.</summary>
internal sealed class ManualMembership : IMembership
{
    public void Subscribe(IActorContext context, IActorRef subscriber)
    {
    }
}
