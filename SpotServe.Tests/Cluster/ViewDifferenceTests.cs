using System.Collections.Immutable;
using Akka.Actor;
using CsCheck;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using SpotServe.Tests.Serialization;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

/// <summary>A view and what changed give the next view, whatever changed.</summary>
public sealed class ViewDifferenceTests
{
    private const int NodesMax = 5;

    private static readonly LayoutDegrees Degrees = new(NodesMax, 1, 1, 8);

    /// <summary>Each bit is one thing that a view has or has not, so that two draws differ anyhow.</summary>
    private static readonly Gen<PlannerView> Views = Gen.Select(
        Gen.Int[0, 31], Gen.Int[0, 31], Gen.Int[0, 31], Gen.Int[0, 31], Gen.Int[0, 31], Gen.Long[1, 3], View);

    [Fact]
    public void View_and_its_change_give_the_next_one() =>
        Gen.Select(Views, Views).Sample((before, next) =>
        {
            var after = next with { Number = before.Number + 1 };
            if (ViewDifference.Between(before, after) is not { } change)
            {
                Assert.True(before.Latest is not null && after.Latest is null);
                return;
            }

            SameContent.Holds(after, ViewDifference.Apply(before, change), "view");
        });

    [Fact]
    public void Nothing_is_said_of_what_is_the_same_though_it_was_reported_anew() =>
        Views.Sample(view =>
        {
            var again = view with
            {
                Number = view.Number + 1,
                Model = TestModels.Small with { Family = TestModels.Small.Family },
                Nodes = [.. view.Nodes.Select(node => node with { Devices = [.. node.Devices.ToArray()] })],
                Loads = [.. view.Loads.Select(load => load with { Resumed = [.. load.Resumed.ToArray()] })],
                Layout = Layout(),
            };

            var change = ViewDifference.Between(view, again);

            Assert.True(ViewDifference.IsEmpty(change!, view));
        });

    private static PlannerView View(int nodes, int replicas, int loading, int loads, int leaving, long value) => new(
        new Epoch(value), PlannerPhase.Serving, $"detail {value}", TestModels.Small, Layout(), new Epoch(value),
        [.. Bits(replicas).Select(i => new ServingReplica(i, ActorRefs.Nobody))],
        [.. Bits(nodes).Select(i => new NodeInfo(Name(i), "h:1", [new DeviceInfo(0, "cpu", value)]))],
        [.. Bits(loading).Select(i => new DeviceProgress(
            new DeviceId(Name(i), 0), new Position(i, 0, 0), value, 100))])
    {
        Term = 3,
        Number = 7,
        Latest = value > 1
            ? new ReconfigurationRecord(
                new Epoch(value), "a cause", DateTimeOffset.UnixEpoch, null, Degrees, [], default, 0, null, 0, 0,
                ReconfigurationRecord.Served)
            : null,
        Loads = [.. Bits(loads).Select(i => new ReplicaControlProtocol.ReplicaLoad(
            new Epoch(value), i, 0, 0, 8, 1, 1, value, 1, 0)
        {
            Resumed = [new ReplicaControlProtocol.ResumedRequests(new Epoch(1), 1, value, 0)],
        })],
        Leaving = Bits(leaving).ToImmutableDictionary(Name, i => DateTimeOffset.UnixEpoch.AddSeconds(value + i)),
    };

    private static Layout Layout() => LayoutAssembly.InOrder(
        Degrees, 4, [.. Enumerable.Range(0, NodesMax).Select(i => new DeviceId(Name(i), 0))]);

    private static string Name(int index) => $"n{index}:1#1";

    private static IEnumerable<int> Bits(int set) => Enumerable.Range(0, NodesMax).Where(i => (set & (1 << i)) != 0);
}
