using SpotServe.Seed.Dashboard.Components;
using Xunit;

namespace SpotServe.Tests.Dashboard;

public sealed class TextsTests
{
    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(999, "999 B")]
    [InlineData(1008 << 10, "1 MiB")]
    [InlineData(3 << 19, "1.5 MiB")]
    [InlineData(288L << 20, "288 MiB")]
    [InlineData(long.MaxValue, "8388608 TiB")]
    public void Sizes_on_a_card_are_short(long bytes, string text) => Assert.Equal(text, Texts.Size(bytes));

    [Theory]
    [InlineData(0.0342, "0.0342")]
    [InlineData(0.3, "0.30")]
    [InlineData(7.0614, "7.06")]
    [InlineData(1234.5, "1,234")]
    public void Money_is_as_exact_as_a_person_compares(double amount, string text) =>
        Assert.Equal(text, Texts.Money(amount));

    [Theory]
    [InlineData(60, 60, 300.0)]
    [InlineData(1, 60, 300.0)]
    [InlineData(61, 120, 300.0)]
    [InlineData(300, 300, 300.0)]
    public void Newest_sample_is_at_the_right_edge_of_a_chart_that_has_room_for_all(int count, int span, double x)
    {
        Assert.Equal(span, ChartLine.Span(count));
        Assert.Equal(x, ChartLine.XOf(count - 1, count, 300));
        Assert.InRange(ChartLine.XOf(0, count, 300), 0, 300);
    }
}
