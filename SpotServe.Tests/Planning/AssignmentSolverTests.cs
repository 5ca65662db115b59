using CsCheck;
using Google.OrTools.Graph;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class AssignmentSolverTests
{
    [Fact]
    public void Value_equals_brute_force_up_to_seven()
    {
        var size = Gen.Select(Gen.Int[1, 7], Gen.Int[1, 7]).Where((rows, columns) => rows <= columns);
        size.SelectMany((rows, columns) => Gen.OneOf(Gen.Long[0, 3], Gen.Long[-50, 50], Gen.Long[0, 1L << 40])
            .Array[rows * columns].Select(weights => (rows, columns, weights))).Sample((rows, columns, weights) =>
        {
            var chosen = new int[rows];

            var value = new AssignmentSolver().Maximize(weights, rows, columns, chosen);

            Assert.Equal(BestOf(weights, rows, columns, 0, 0), value);
            Assert.Equal(rows, chosen.Distinct().Count());
            Assert.Equal(value, Enumerable.Range(0, rows).Sum(row => weights[(row * columns) + chosen[row]]));
        });
    }

    [Theory]
    [InlineData(40, 4)]
    [InlineData(120, 100)]
    [InlineData(200, 1_000_000)]
    public void Value_equals_or_tools_on_random_matrices(int size, int weightMax)
    {
        Gen.Int[1, size].SelectMany(n => Gen.Long[0, weightMax].Array[n * n].Select(weights => (n, weights)))
            .Sample((n, weights) =>
            {
                var value = new AssignmentSolver().Maximize(weights, n, n, new int[n]);

                Assert.Equal(OrTools(weights, n), value);
            }, iter: 40);
    }

    [Fact]
    public void One_solver_solves_problems_of_changing_size_one_after_another()
    {
        var solver = new AssignmentSolver();
        Gen.Int[1, 30].SelectMany(n => Gen.Long[0, 20].Array[n * n].Select(weights => (n, weights)))
            .Sample((n, weights) =>
        {
            Assert.Equal(
                new AssignmentSolver().Maximize(weights, n, n, new int[n]), solver.Maximize(weights, n, n, new int[n]));
        }, threads: 1);
    }

    [Fact]
    public void Impossible_shapes_and_sizes_are_refused()
    {
        var solver = new AssignmentSolver();

        Assert.Throws<ArgumentException>(() => solver.Maximize([], 0, 0, []));
        Assert.Throws<ArgumentException>(() => solver.Maximize(new long[6], 3, 2, new int[3]));
        Assert.Throws<ArgumentOutOfRangeException>(() => solver.Maximize([long.MaxValue], 1, 1, new int[1]));
    }

    internal static long OrTools(long[] weights, int n)
    {
        var solver = new LinearSumAssignment();
        for (var row = 0; row < n; row++)
        {
            for (var column = 0; column < n; column++) solver.AddArcWithCost(row, column, -weights[(row * n) + column]);
        }

        Assert.Equal(LinearSumAssignment.Status.OPTIMAL, solver.Solve());
        return -solver.OptimalCost();
    }

    private static long BestOf(long[] weights, int rows, int columns, int row, int taken)
    {
        if (row == rows) return 0;
        var best = long.MinValue;
        for (var column = 0; column < columns; column++)
        {
            if ((taken >> column & 1) == 1) continue;
            var value = weights[(row * columns) + column]
                + BestOf(weights, rows, columns, row + 1, taken | (1 << column));
            best = Math.Max(best, value);
        }

        return best;
    }
}
