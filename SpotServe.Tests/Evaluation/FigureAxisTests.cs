using SpotServe.Seed.Commands.Simulating;
using Xunit;

namespace SpotServe.Tests.Evaluation;

/// <summary>Where things are in a figure: what a reader must be able to tell apart lies apart.</summary>
public sealed class FigureAxisTests
{
    [Theory]
    [InlineData(12, 97, false)]
    [InlineData(0, 1000, false)]
    [InlineData(5, 250_000, true)]
    [InlineData(1, 30, true)]
    public void Values_that_span_decades_lie_by_their_logarithm(double least, double most, bool isLogarithmic)
    {
        var axis = FigureAxis.Of([least, most], isFromZero: true);

        Assert.Equal(isLogarithmic, axis.IsLogarithmic);
        Assert.True(axis.At(least) >= axis.Least && axis.At(most) < axis.Most);
    }

    [Fact]
    public void A_long_axis_is_labelled_at_powers_of_ten_and_a_short_one_between_them()
    {
        var decades = FigureAxis.Of([3, 240_000], isFromZero: true).Ticks();
        var few = FigureAxis.Of([0.9, 30], isFromZero: true).Ticks();

        Assert.Equal(["10", "100", "1,000", "10,000", "100,000"], decades.Select(tick => tick.Label).OfType<string>());
        Assert.Equal(["1", "2", "5", "10", "20"], few.Select(tick => tick.Label).OfType<string>());
        Assert.Contains(few, tick => tick.Label is null && Math.Abs(tick.At - Math.Log10(3)) < 1e-9);
    }

    [Fact]
    public void One_value_and_none_are_axes_too()
    {
        Assert.True(FigureAxis.Of([7], isFromZero: false) is { IsLogarithmic: false, Least: < 7, Most: > 7 });
        Assert.True(FigureAxis.Of([], isFromZero: true) is { IsLogarithmic: false, Least: 0, Most: > 0 });
    }

    [Fact]
    public void Labels_of_points_that_lie_together_are_on_different_sides_and_what_has_no_room_is_left_out()
    {
        (double, double, string?)[] points = [.. Enumerable.Range(0, 6).Select(i => (100.0 + i, 100.0, "label"))];

        var places = FigureLabels.OfPoints(points, width: 700);

        Assert.InRange(places.Length, 2, 4);
        Assert.Equal(places.Length, places.Select(place => (place.IsRight, place.IsAbove)).Distinct().Count());
    }

    [Fact]
    public void A_label_at_the_edge_is_on_the_side_that_is_in_the_picture()
    {
        var places = FigureLabels.OfPoints([(695, 5, "label")], width: 700);

        Assert.Equal((0, false, false), Assert.Single(places));
    }

    [Fact]
    public void Labels_of_lines_go_to_the_next_row_where_the_last_one_has_not_ended()
    {
        var rows = FigureLabels.OfLines(
            [(0, "(2,3,4)"), (20, "(2,2,8)"), (40, "(2,2,8)"), (50, "(1,2,8)"), (695, "(1,3,4)")], width: 700, rows: 3);

        Assert.Equal([(0, true), (1, true), (2, true), null, (0, false)], rows);
    }
}
