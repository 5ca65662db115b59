using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Cluster;

public sealed class DeviceNumbersTests
{
    [Fact]
    public void A_lost_device_leaves_no_gap_to_the_mapper_and_takes_nobodys_number()
    {
        var numbers = new DeviceNumbers([Node("a", 1, 3), Node("b", 0)]);
        var before = Layout(new("a", 0), new("a", 1), new("a", 3), new("b", 0));

        var dense = numbers.Dense(before).Placement;

        Assert.Equal([new("a", 0), new("a", 1), new("b", 0)], dense.Skip(1));
        Assert.DoesNotContain(dense[0], dense.Skip(1));
        Assert.Equal(
            [new("a", 1), new("a", 3), new("b", 0)],
            numbers.Reported(Layout(new("a", 0), new("a", 1), new("b", 0))).Placement);
    }

    private static NodeInfo Node(string name, params int[] devices) =>
        new(name, $"{name}:1", [.. devices.Select(index => new DeviceInfo(index, "fake", 1))]);

    private static Layout Layout(params DeviceId[] devices) =>
        new(new LayoutDegrees(1, devices.Length, 1, 1), [new LayerRange(0, 1)], [.. devices]);
}
