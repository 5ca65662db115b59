using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class KindAssignmentSolverTests
{
    private static readonly Gen<KindWeights> Problems =
        Gen.Select(
            Gen.Int[1, 24], Gen.Int[0, 8], Gen.Int[1, 5], Gen.Int[1, 5], Gen.Int[1, 1_000_000],
            (rows, more, rowKinds, columnKinds, seed) => Drawn(rows, rows + more, rowKinds, columnKinds, seed));

    [Fact]
    public void Value_equals_that_of_the_matrix() => Problems.Sample(problem =>
    {
        var (rows, columns) = (problem.RowKind.Length, problem.ColumnKind.Length);
        var matrix = Matrix(problem);
        var chosen = new int[rows];

        KindAssignmentSolver.Maximize(problem, chosen);

        Assert.Equal(rows, chosen.Distinct().Count());
        Assert.All(chosen, column => Assert.InRange(column, 0, columns - 1));
        Assert.Equal(
            new AssignmentSolver().Maximize(matrix, rows, columns, new int[rows]),
            Enumerable.Range(0, rows).Sum(row => matrix[(row * columns) + chosen[row]]));
    }, iter: 500);

    [Fact]
    public void Ten_thousand_places_of_which_two_hundred_lost_their_machine_are_matched()
    {
        const int Count = 10_000, Kinds = 8, Lost = 200;
        var own = Enumerable.Range(0, Count)
            .Select(i => i < Lost ? [] : new List<(int, long)> { (i, 1_000_001 + (i % 777)) }).ToArray();
        var table = new long[Kinds, Kinds + 1];
        for (var kind = 0; kind < Kinds; kind++) table[kind, kind] = 1_000_000;
        var chosen = new int[Count];

        KindAssignmentSolver.Maximize(
            new KindWeights(
                [.. Enumerable.Range(0, Count).Select(i => i % Kinds)],
                [.. Enumerable.Range(0, Count).Select(i => i < Lost ? Kinds : i % Kinds)],
                table, own),
            chosen);

        Assert.Equal(Count, chosen.Distinct().Count());
        Assert.All(Enumerable.Range(Lost, Count - Lost), i => Assert.Equal(i, chosen[i]));
    }

    private static KindWeights Drawn(int rows, int columns, int rowKinds, int columnKinds, int seed)
    {
        var random = new Random(seed);
        var most = random.Next(2) == 0 ? 4 : 1_000_000;
        var table = new long[rowKinds, columnKinds];
        for (var k = 0; k < rowKinds; k++)
            for (var c = 0; c < columnKinds; c++) table[k, c] = random.Next(most);
        int[] rowKind = [.. Enumerable.Range(0, rows).Select(_ => random.Next(rowKinds))];
        int[] columnKind = [.. Enumerable.Range(0, columns).Select(_ => random.Next(columnKinds))];
        var own = Enumerable.Range(0, rows).Select(row => Enumerable.Range(0, columns)
            .Where(_ => random.Next(6) == 0)
            .Select(column => (column, table[rowKind[row], columnKind[column]] + random.Next(most))).ToList());
        return new KindWeights(rowKind, columnKind, table, [.. own]);
    }

    private static long[] Matrix(KindWeights problem)
    {
        var (rows, columns) = (problem.RowKind.Length, problem.ColumnKind.Length);
        var matrix = new long[rows * columns];
        for (var row = 0; row < rows; row++)
        {
            for (var column = 0; column < columns; column++)
            {
                matrix[(row * columns) + column] =
                    problem.OfKinds[problem.RowKind[row], problem.ColumnKind[column]];
            }

            foreach (var (column, weight) in problem.Own[row]) matrix[(row * columns) + column] = weight;
        }

        return matrix;
    }
}
