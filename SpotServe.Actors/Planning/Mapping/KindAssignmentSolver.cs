namespace SpotServe.Actors.Planning;

/// <summary>Weights of rows on columns that come in kinds.</summary>
/// <param name="RowKind">Per row.</param>
/// <param name="ColumnKind">Per column; there are at least as many columns as rows.</param>
/// <param name="OfKinds">[row kind, column kind]: what a row weighs on a column of which nothing else is said.</param>
/// <param name="Own">Per row, columns on which it weighs otherwise: never less than its kind does.</param>
internal sealed record KindWeights(
    int[] RowKind, int[] ColumnKind, long[,] OfKinds, IReadOnlyList<(int Column, long Weight)>[] Own);

/// <summary>
/// Maximum-weight assignment of rows to columns that come in few kinds: a minimum-cost flow through a node for each
/// kind, with arcs of their own for the few pairs that differ. Exact, on integers, and without a matrix: ten thousand
/// machines on ten thousand places are some hundred thousand arcs, where the matrix has a hundred million entries.
/// </summary>
/// <remarks>
/// Successive shortest paths with potentials; all paths of one length are taken together as a blocking flow on levels
/// (Dinic). There are as many rounds as lengths, which are differences between kinds, not between rows: every row
/// begins where it weighs most. Equal inputs give equal outputs.
/// </remarks>
internal sealed class KindAssignmentSolver
{
    private const long Far = long.MaxValue / 4;
    private const int Nowhere = -1;

    private readonly int _rows;
    private readonly int _columns;
    private readonly int _firstColumn;
    private readonly int _sink;
    private readonly int[] _head;
    private readonly List<int> _next = [];
    private readonly List<int> _to = [];
    private readonly List<int> _room = [];
    private readonly List<long> _cost = [];
    private readonly long[] _potential;
    private readonly long[] _distance;
    private readonly int[] _level;
    private readonly int[] _current;
    private readonly bool[] _isPlaced;

    private KindAssignmentSolver(KindWeights weights)
    {
        (_rows, _columns) = (weights.RowKind.Length, weights.ColumnKind.Length);
        var (rowKinds, columnKinds) = (weights.OfKinds.GetLength(0), weights.OfKinds.GetLength(1));
        _firstColumn = _rows + rowKinds + columnKinds;
        _sink = _firstColumn + _columns;
        _head = new int[_sink + 1];
        Array.Fill(_head, Nowhere);
        (_potential, _distance) = (new long[_sink + 1], new long[_sink + 1]);
        (_level, _current, _isPlaced) = (new int[_sink + 1], new int[_sink + 1], new bool[_rows]);
        var there = new bool[columnKinds];
        foreach (var kind in weights.ColumnKind) there[kind] = true;
        for (var row = 0; row < _rows; row++)
        {
            var kind = weights.RowKind[row];
            var best = long.MinValue;
            for (var c = 0; c < columnKinds; c++)
                if (there[c]) best = Math.Max(best, weights.OfKinds[kind, c]);
            foreach (var (_, weight) in weights.Own[row]) best = Math.Max(best, weight);
            // Costs are what a row lacks to its best column.
            foreach (var (column, weight) in weights.Own[row])
            {
                Invariant.Holds(weight >= weights.OfKinds[kind, weights.ColumnKind[column]]);
                Arc(row, _firstColumn + column, 1, best - weight);
            }

            Arc(row, _rows + kind, 1, best);
        }

        for (var k = 0; k < rowKinds; k++)
        {
            for (var c = 0; c < columnKinds; c++)
                if (there[c]) Arc(_rows + k, _rows + rowKinds + c, _rows, -weights.OfKinds[k, c]);
        }

        for (var column = 0; column < _columns; column++)
        {
            Arc(_rows + rowKinds + weights.ColumnKind[column], _firstColumn + column, 1, 0);
            Arc(_firstColumn + column, _sink, 1, 0);
        }
    }

    /// <summary>Finds an assignment with the greatest total weight.</summary>
    /// <param name="columnOfRow">Receives each row's column, all different.</param>
    public static void Maximize(KindWeights weights, Span<int> columnOfRow)
    {
        Invariant.Holds(weights.RowKind.Length <= weights.ColumnKind.Length);
        Invariant.Holds(columnOfRow.Length >= weights.RowKind.Length);
        var solver = new KindAssignmentSolver(weights);
        solver.BeginPotentials();
        for (var placed = 0; placed < solver._rows;)
        {
            solver.Shorten();
            var more = solver.Fill();
            Invariant.Holds(more > 0);
            placed += more;
        }

        solver.Read(weights, columnOfRow);
    }

    private void Arc(int from, int to, int room, long cost)
    {
        Half(from, to, room, cost);
        Half(to, from, 0, -cost);

        void Half(int source, int target, int free, long price)
        {
            _next.Add(_head[source]);
            _head[source] = _to.Count;
            _to.Add(target);
            _room.Add(free);
            _cost.Add(price);
        }
    }

    /// <summary>Before anything is placed all arcs lead onwards, from rows over kinds to columns and the sink: one
    /// pass in that order gives the distances, and with them costs that are nowhere below 0.</summary>
    private void BeginPotentials()
    {
        Array.Fill(_potential, Far);
        Array.Clear(_potential, 0, _rows);
        for (var node = 0; node <= _sink; node++)
        {
            if (_potential[node] >= Far) continue;
            for (var arc = _head[node]; arc != Nowhere; arc = _next[arc])
            {
                if (_room[arc] == 0) continue;
                _potential[_to[arc]] = Math.Min(_potential[_to[arc]], _potential[node] + _cost[arc]);
            }
        }
    }

    /// <summary>Distances from the rows that have no column (Dijkstra), taken into the potentials.</summary>
    private void Shorten()
    {
        Array.Fill(_distance, Far);
        var queue = new PriorityQueue<int, long>();
        for (var row = 0; row < _rows; row++)
        {
            if (_isPlaced[row]) continue;
            _distance[row] = 0;
            queue.Enqueue(row, 0);
        }

        while (queue.TryDequeue(out var node, out var distance))
        {
            if (distance > _distance[node]) continue;
            if (node == _sink) break;
            for (var arc = _head[node]; arc != Nowhere; arc = _next[arc])
            {
                if (_room[arc] == 0) continue;
                var to = _to[arc];
                var through = distance + _cost[arc] + _potential[node] - _potential[to];
                if (through >= _distance[to]) continue;
                _distance[to] = through;
                queue.Enqueue(to, through);
            }
        }

        var reach = _distance[_sink];
        Invariant.Holds(reach < Far);
        for (var node = 0; node <= _sink; node++) _potential[node] += Math.Min(_distance[node], reach);
    }

    /// <summary>Places as many rows as can be placed along arcs that cost nothing now.</summary>
    private int Fill()
    {
        var placed = 0;
        while (Level())
        {
            Array.Copy(_head, _current, _head.Length);
            for (var row = 0; row < _rows; row++)
            {
                if (_isPlaced[row] || !Push(row)) continue;
                _isPlaced[row] = true;
                placed++;
            }
        }

        return placed;
    }

    private bool IsTight(int from, int arc) =>
        _room[arc] > 0 && _cost[arc] + _potential[from] - _potential[_to[arc]] == 0;

    /// <returns>Whether the sink can be reached.</returns>
    private bool Level()
    {
        Array.Fill(_level, Nowhere);
        var queue = new Queue<int>();
        for (var row = 0; row < _rows; row++)
        {
            if (_isPlaced[row]) continue;
            _level[row] = 0;
            queue.Enqueue(row);
        }

        while (queue.TryDequeue(out var node))
        {
            for (var arc = _head[node]; arc != Nowhere; arc = _next[arc])
            {
                var to = _to[arc];
                if (_level[to] != Nowhere || !IsTight(node, arc)) continue;
                _level[to] = _level[node] + 1;
                queue.Enqueue(to);
            }
        }

        return _level[_sink] != Nowhere;
    }

    /// <summary>One unit from a row to the sink, along rising levels; a way that led nowhere is not tried
    /// again. Paths can be long, so the stack is a list.</summary>
    private bool Push(int row)
    {
        var path = new List<int>();
        var node = row;
        while (node != _sink)
        {
            var arc = _current[node];
            while (arc != Nowhere && !(_level[_to[arc]] == _level[node] + 1 && IsTight(node, arc))) arc = _next[arc];
            _current[node] = arc;
            if (arc != Nowhere)
            {
                path.Add(arc);
                node = _to[arc];
                continue;
            }

            if (path.Count == 0) return false;
            node = _to[path[^1] ^ 1];
            _current[node] = _next[path[^1]];
            path.RemoveAt(path.Count - 1);
        }

        foreach (var arc in path)
        {
            _room[arc]--;
            _room[arc ^ 1]++;
        }

        return true;
    }

    /// <summary>Rows with an arc of their own have its column. What flows through kinds is dealt out: of one row kind
    /// and one column kind any row may have any column.</summary>
    private void Read(KindWeights weights, Span<int> columnOfRow)
    {
        var rowKinds = weights.OfKinds.GetLength(0);
        var columnKinds = weights.OfKinds.GetLength(1);
        var columnsOf = Enumerable.Range(0, columnKinds).Select(_ => new Queue<int>()).ToArray();
        for (var column = 0; column < _columns; column++)
        {
            var kind = weights.ColumnKind[column];
            if (HasFlow(_rows + rowKinds + kind, _firstColumn + column)) columnsOf[kind].Enqueue(column);
        }

        var dealt = new int[rowKinds, columnKinds];
        for (var k = 0; k < rowKinds; k++)
        {
            for (var arc = _head[_rows + k]; arc != Nowhere; arc = _next[arc])
            {
                var c = _to[arc] - _rows - rowKinds;
                if (c >= 0 && c < columnKinds) dealt[k, c] = _room[arc ^ 1];
            }
        }

        for (var row = 0; row < _rows; row++)
        {
            columnOfRow[row] = Nowhere;
            for (var arc = _head[row]; arc != Nowhere && columnOfRow[row] == Nowhere; arc = _next[arc])
            {
                if (_room[arc] == 0 && _to[arc] >= _firstColumn) columnOfRow[row] = _to[arc] - _firstColumn;
            }

            if (columnOfRow[row] != Nowhere) continue;
            var kind = weights.RowKind[row];
            var from = 0;
            while (dealt[kind, from] == 0) from++;
            dealt[kind, from]--;
            columnOfRow[row] = columnsOf[from].Dequeue();
        }
    }

    private bool HasFlow(int from, int to)
    {
        // Arcs back from a column have room when who may take it has it.
        for (var arc = _head[to]; arc != Nowhere; arc = _next[arc])
            if (_to[arc] == from) return _room[arc] > 0;
        return false;
    }
}
