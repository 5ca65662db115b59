using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace SpotServe.Actors.Planning;

/// <summary>
/// Maximum-weight assignment of rows to columns by shortest augmenting paths (Kuhn–Munkres in the form of Jonker and
/// Volgenant): exact, on integers. Keeps its work space from call to call; not thread-safe.
/// </summary>
/// <remarks>
/// O(rows² columns) at worst. A greedy phase with prices places most rows; each of the rest is one Dijkstra over the
/// columns, a vectorised pass per step. Ties go to the lowest column, so equal inputs give equal outputs.
/// </remarks>
internal sealed class AssignmentSolver
{
    /// <summary>Largest rows x |weight| that is solved: keeps every path length exact in 64 bits.</summary>
    public const long MagnitudeMax = 1L << 60;

    // Longer than any path; a closed column is pushed beyond it by its price, with room to spare before overflow.
    private const long Far = 1L << 61;
    private const long ClosedPrice = -(1L << 62);
    private const int NoRow = -1;

    private long[] _cost = [];
    private long[] _price = [];
    private long[] _openPrice = [];
    private long[] _distance = [];
    private long[] _previousRow = [];
    private long[] _closedDistance = [];
    private int[] _columnOfRow = [];
    private int[] _rowOfColumn = [];
    private int[] _closed = [];
    private int[] _free = [];

    /// <summary>Finds the assignment with the greatest total weight.</summary>
    /// <param name="weight">[row * columns + column], any sign.</param>
    /// <param name="columnOfRow">Length rows; receives each row's column, all different.</param>
    /// <returns>The total weight.</returns>
    /// <exception cref="ArgumentException">No row, more rows than columns, or a length that does not fit.</exception>
    /// <exception cref="ArgumentOutOfRangeException">Weights too large to stay exact.</exception>
    public long Maximize(ReadOnlySpan<long> weight, int rows, int columns, Span<int> columnOfRow)
    {
        if (rows < 1 || columns < rows || weight.Length < (long)rows * columns || columnOfRow.Length < rows)
        {
            throw new ArgumentException(
                $"Needs 1 <= rows <= columns and rows x columns weights; got {rows} x {columns}, "
                + $"{weight.Length} weights, room for {columnOfRow.Length} results.");
        }

        Prepare(weight, rows, columns);
        var free = Greedy(rows, columns);
        for (var i = 0; i < free; i++) Augment(_free[i], columns);
        var total = 0L;
        for (var row = 0; row < rows; row++)
        {
            var column = _columnOfRow[row];
            columnOfRow[row] = column;
            total += weight[(row * columns) + column];
        }

        return total;
    }

    /// <summary>Costs are what a weight lacks to the largest one: all are at least 0.</summary>
    private void Prepare(ReadOnlySpan<long> weight, int rows, int columns)
    {
        var count = rows * columns;
        if (_cost.Length < count) _cost = new long[count];
        if (_price.Length < columns)
        {
            _price = new long[columns];
            _openPrice = new long[columns];
            _distance = new long[columns];
            _previousRow = new long[columns];
            _closedDistance = new long[columns];
            _rowOfColumn = new int[columns];
            _closed = new int[columns];
        }

        if (_columnOfRow.Length < rows)
        {
            _columnOfRow = new int[rows];
            _free = new int[rows];
        }

        var (least, most) = (long.MaxValue, long.MinValue);
        foreach (var value in weight[..count])
        {
            least = Math.Min(least, value);
            most = Math.Max(most, value);
        }

        if (least < -(MagnitudeMax / 2) || most > MagnitudeMax / 2 || (most - least) > MagnitudeMax / rows)
        {
            throw new ArgumentOutOfRangeException(
                nameof(weight),
                most - least,
                $"With {rows} rows the weights may differ by {MagnitudeMax / rows} at most.");
        }

        for (var i = 0; i < count; i++) _cost[i] = most - weight[i];
        Array.Clear(_price, 0, columns);
        Array.Fill(_rowOfColumn, NoRow, 0, columns);
        Array.Fill(_columnOfRow, NoRow, 0, rows);
    }

    /// <summary>
    /// Two rounds in which each row takes its cheapest column, pushing an earlier taker out when it can pay more. Only
    /// columns that stay taken get a price below 0, which keeps the rectangular problem optimal.
    /// </summary>
    private int Greedy(int rows, int columns)
    {
        var freeCount = rows;
        for (var row = 0; row < rows; row++) _free[row] = row;
        for (var round = 0; round < 2 && freeCount > 0; round++)
        {
            var (next, kept) = (0, 0);
            // Bounded: price wars between rows of equal taste move in small steps; the exact phase settles those.
            var stepsLeft = 4 * freeCount;
            while (next < freeCount)
            {
                var row = _free[next++];
                var (column, best, other, second) = TwoBest(row, columns);
                if (other < 0) second = best;
                if (best < second) _price[column] -= second - best;
                else if (_rowOfColumn[column] != NoRow && other >= 0) column = other;
                var before = _rowOfColumn[column];
                _rowOfColumn[column] = row;
                _columnOfRow[row] = column;
                if (before == NoRow) continue;
                _columnOfRow[before] = NoRow;
                if (best < second && stepsLeft-- > 0) _free[--next] = before;
                else _free[kept++] = before;
            }

            freeCount = kept;
        }

        return freeCount;
    }

    /// <summary>The row's cheapest column at present prices, and its second cheapest.</summary>
    private (int Column, long Cost, int Other, long Second) TwoBest(int row, int columns)
    {
        ref var cost = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_cost), row * columns);
        ref var price = ref MemoryMarshal.GetArrayDataReference(_price);
        var (column, other) = (-1, -1);
        var (best, second) = (long.MaxValue, long.MaxValue);
        for (var j = 0; j < columns; j++)
        {
            var value = Unsafe.Add(ref cost, j) - Unsafe.Add(ref price, j);
            if (value >= second) continue;
            if (value < best)
            {
                (second, other) = (best, column);
                (best, column) = (value, j);
            }
            else
            {
                (second, other) = (value, j);
            }
        }

        return (column, best, other, second);
    }

    /// <summary>Gives a free row a column along the shortest alternating path, and corrects the prices on the
    /// way.</summary>
    private void Augment(int freeRow, int columns)
    {
        Array.Copy(_price, _openPrice, columns);
        Array.Fill(_distance, Far, 0, columns);
        var (row, offset, closedCount) = (freeRow, 0L, 0);
        int end;
        while (true)
        {
            var nearest = Relax(row, offset, columns);
            var column = FirstAt(nearest, columns);
            if (_rowOfColumn[column] == NoRow)
            {
                end = column;
                for (var i = 0; i < closedCount; i++)
                {
                    // What a closed column was nearer than the path's end is what its price may fall by.
                    _price[_closed[i]] += _closedDistance[i] - nearest;
                }

                break;
            }

            row = _rowOfColumn[column];
            offset = _cost[(row * columns) + column] - _price[column] - nearest;
            Invariant.Holds(closedCount < columns);
            _closed[closedCount] = column;
            _closedDistance[closedCount++] = nearest;
            _openPrice[column] = ClosedPrice;
            _distance[column] = Far;
        }

        while (true)
        {
            var previous = (int)_previousRow[end];
            _rowOfColumn[end] = previous;
            (end, _columnOfRow[previous]) = (_columnOfRow[previous], end);
            if (previous == freeRow) return;
        }
    }

    /// <summary>Shortens distances through a row and returns the least of them.</summary>
    private long Relax(int row, long offset, int columns)
    {
        ref var cost = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_cost), row * columns);
        ref var price = ref MemoryMarshal.GetArrayDataReference(_openPrice);
        ref var distance = ref MemoryMarshal.GetArrayDataReference(_distance);
        ref var previous = ref MemoryMarshal.GetArrayDataReference(_previousRow);
        var j = 0;
        var least = Far;
        if (Vector.IsHardwareAccelerated && columns >= Vector<long>.Count)
        {
            var offsets = new Vector<long>(offset);
            var rows = new Vector<long>(row);
            var leasts = new Vector<long>(Far);
            for (; j <= columns - Vector<long>.Count; j += Vector<long>.Count)
            {
                var old = Vector.LoadUnsafe(ref distance, (nuint)j);
                var through = Vector.LoadUnsafe(ref cost, (nuint)j) - Vector.LoadUnsafe(ref price, (nuint)j) - offsets;
                var shorter = Vector.LessThan(through, old);
                if (shorter != Vector<long>.Zero)
                {
                    old = Vector.ConditionalSelect(shorter, through, old);
                    old.StoreUnsafe(ref distance, (nuint)j);
                    Vector.ConditionalSelect(shorter, rows, Vector.LoadUnsafe(ref previous, (nuint)j))
                        .StoreUnsafe(ref previous, (nuint)j);
                }

                leasts = Vector.Min(leasts, old);
            }

            for (var lane = 0; lane < Vector<long>.Count; lane++) least = Math.Min(least, leasts[lane]);
        }

        for (; j < columns; j++)
        {
            var through = Unsafe.Add(ref cost, j) - Unsafe.Add(ref price, j) - offset;
            if (through < Unsafe.Add(ref distance, j))
            {
                Unsafe.Add(ref distance, j) = through;
                Unsafe.Add(ref previous, j) = row;
            }

            least = Math.Min(least, Unsafe.Add(ref distance, j));
        }

        return least;
    }

    /// <summary>A column at this distance: an untaken one, which ends the path, if there is one.</summary>
    private int FirstAt(long distance, int columns)
    {
        var distances = _distance.AsSpan(0, columns);
        var first = distances.IndexOf(distance);
        for (var j = first; j >= 0;)
        {
            if (_rowOfColumn[j] == NoRow) return j;
            var next = distances[(j + 1)..].IndexOf(distance);
            j = next < 0 ? -1 : j + 1 + next;
        }

        Invariant.Holds(first >= 0);
        return first;
    }
}
