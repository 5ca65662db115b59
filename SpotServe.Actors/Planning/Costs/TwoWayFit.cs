namespace SpotServe.Actors.Planning;

/// <summary>
/// Completes a table of which some cells were measured, taking a cell for the sum of what its row and its column add:
/// weighted least squares by turns (two-way analysis of variance without interaction). What columns differ by where no
/// row was measured in both of them is 0.
/// </summary>
internal static class TwoWayFit
{
    private const int Turns = 24;

    /// <summary>Weight of the guess that columns do not differ.</summary>
    private const double EqualColumns = 0.1;

    /// <summary>Fills the cells that were not measured.</summary>
    /// <param name="values">Rows by columns; each row and each column has a measured cell.</param>
    /// <param name="weights">0 where nothing was measured.</param>
    public static void Complete(double[,] values, double[,] weights)
    {
        var (rows, columns) = (new double[values.GetLength(0)], new double[values.GetLength(1)]);
        for (var turn = 0; turn < Turns; turn++)
        {
            for (var r = 0; r < rows.Length; r++)
            {
                var (sum, weight) = (0.0, 0.0);
                for (var c = 0; c < columns.Length; c++)
                {
                    sum += weights[r, c] * (values[r, c] - columns[c]);
                    weight += weights[r, c];
                }

                rows[r] = sum / weight;
            }

            for (var c = 0; c < columns.Length; c++)
            {
                var (sum, weight) = (0.0, EqualColumns);
                for (var r = 0; r < rows.Length; r++)
                {
                    sum += weights[r, c] * (values[r, c] - rows[r]);
                    weight += weights[r, c];
                }

                columns[c] = sum / weight;
            }
        }

        for (var r = 0; r < rows.Length; r++)
        {
            for (var c = 0; c < columns.Length; c++)
            {
                if (weights[r, c] == 0) values[r, c] = rows[r] + columns[c];
            }
        }
    }
}
