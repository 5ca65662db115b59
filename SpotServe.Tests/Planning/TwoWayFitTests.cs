using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class TwoWayFitTests
{
    [Fact]
    public void Missing_cells_of_random_tables_of_sums_are_found_from_those_that_were_measured()
    {
        var random = new Random(20261128);
        for (var round = 0; round < 500; round++)
        {
            var (rows, columns) = (random.Next(1, 6), random.Next(1, 6));
            var (byRow, byColumn) = (Values(rows), Values(columns));
            var (values, weights) = (new double[rows, columns], new double[rows, columns]);
            for (var r = 0; r < rows; r++)
            {
                for (var c = 0; c < columns; c++)
                {
                    // The first row and column are measured, so that any two cells have something in common.
                    if (r > 0 && c > 0 && random.Next(2) == 0) continue;
                    (values[r, c], weights[r, c]) = (byRow[r] + byColumn[c], random.Next(50, 200));
                }
            }

            TwoWayFit.Complete(values, weights);

            for (var r = 0; r < rows; r++)
                for (var c = 0; c < columns; c++) Assert.Equal(byRow[r] + byColumn[c], values[r, c], 0.05);
        }

        double[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextDouble() * 2)];
    }

    [Fact]
    public void Columns_without_a_common_row_are_taken_for_equal()
    {
        double[,] values = { { 1, 0 }, { 0, 5 } };

        TwoWayFit.Complete(values, new double[,] { { 1, 0 }, { 0, 1 } });

        Assert.Equal(new double[,] { { 1, 1 }, { 5, 5 } }, values);
    }
}
