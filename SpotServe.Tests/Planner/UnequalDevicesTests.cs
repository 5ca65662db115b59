using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Tests.Cluster;
using Xunit;

namespace SpotServe.Tests.Planner;

/// <summary>Nodes of unequal speed or memory get unequal stages from the live planner, with an objective or
/// without.</summary>
public sealed class UnequalDevicesTests : PlannerTestKit
{
    private static readonly DeviceSpeed Fast = new("fast", 2e10, 2e11, 2e-5);
    private static readonly DeviceSpeed Slow = new("slow", 1e10, 1e11, 2e-5);

    [Theory]
    [InlineData(null)]
    [InlineData("1,2,1")]
    public void Node_that_is_half_as_fast_gets_so_few_layers_that_it_holds_nobody_up(string? wanted)
    {
        var layout = LayoutOf(wanted, ("a:1#1", Fast, 8L << 30), ("b:1#1", Slow, 8L << 30));

        var layers = layout.Positions.ToDictionary(
            position => layout.DeviceAt(position).Node, position => layout.LayersOf(position).Count);
        Assert.Equal((1, 2, 1), (layout.Degrees.Replicas, layout.Degrees.Stages, layout.Degrees.Ranks));
        Assert.Equal(TestModels.Small.LayerCount, layers.Values.Sum());
        // Of 8 layers no cut has a slowest stage that is faster than three layers of the slow node.
        Assert.Equal(3, Math.Max(layers["a:1#1"] / 2.0, layers["b:1#1"]));
    }

    [Fact]
    public void Node_with_half_the_memory_gets_what_fits_and_the_other_one_the_rest()
    {
        var geometry = new SliceGeometry(TestModels.Small);
        var layer = geometry.LayerBytes + geometry.KvBytes(TestModels.Small.ContextMax, 1, 4);
        var front = geometry.WeightBytes - geometry.BackBytes - (TestModels.Small.LayerCount * geometry.LayerBytes);
        var large = Math.Max(front, geometry.BackBytes) + (6 * layer) + 1000;

        var layout = LayoutOf("1,2,1", ("a:1#1", Fast, large), ("b:1#1", Fast, large / 2));

        var small = layout.Positions.Single(position => layout.DeviceAt(position).Node == "b:1#1");
        Assert.InRange(layout.LayersOf(small).Count, 1, 3);
        Assert.Equal(8, layout.Positions.Sum(position => layout.LayersOf(position).Count));
    }

    private Layout LayoutOf(string? wanted, params (string Name, DeviceSpeed Speed, long Memory)[] machines)
    {
        var planner = Planner(
            machines.Length, wanted is null ? null : LayoutConstraints.Parse(wanted, 8),
            new PlannerOptions { WorkingBytes = 100 });
        foreach (var (name, speed, memory) in machines)
        {
            Join(planner, new ScriptedNode(name, CreateTestProbe())
            {
                Devices = [new DeviceInfo(0, "cpu", memory) { Speed = speed }],
            });
        }

        Tick(planner);
        return Published(planner, PlannerPhase.PreCopying).Layout!;
    }
}
