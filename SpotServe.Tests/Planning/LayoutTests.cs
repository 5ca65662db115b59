using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class LayoutTests
{
    [Fact]
    public void Even_stages_cover_all_layers_and_give_the_odd_ones_to_the_first()
    {
        var stages = Layout.EvenStages(layerCount: 8, replicas: 2, stages: 3);

        Assert.Equal(
            [new(0, 3), new(3, 6), new(6, 8), new(0, 3), new(3, 6), new(6, 8)],
            stages);
    }
}
