namespace SpotServe.Seed.Tokenization.Patterns;

/// <summary>A set of Unicode code points, as the sorted ends of its ranges.</summary>
internal sealed class CodeSet
{
    private const int CodesEnd = 0x110000;

    /// <summary>Rising: at even places a range begins, at odd ones it has ended.</summary>
    private readonly int[] _edges;

    private CodeSet(int[] edges) => _edges = edges;

    public static CodeSet Empty { get; } = new([]);

    public static CodeSet All { get; } = Of(0, CodesEnd - 1);

    /// <summary>The places where membership changes.</summary>
    public ReadOnlySpan<int> Edges => _edges;

    public static CodeSet Of(int first, int last) => new([first, last + 1]);

    public static CodeSet Of(params IEnumerable<int> codes) => Of(codes.Select(code => (code, code)));

    /// <param name="ranges">First and last code point of each, in any order.</param>
    public static CodeSet Of(IEnumerable<(int First, int Last)> ranges)
    {
        var edges = new List<int>();
        foreach (var (first, last) in ranges.Order())
        {
            if (edges.Count > 0 && first <= edges[^1]) edges[^1] = Math.Max(edges[^1], last + 1);
            else edges.AddRange([first, last + 1]);
        }

        return new CodeSet([.. edges]);
    }

    public bool Contains(int code)
    {
        var at = Array.BinarySearch(_edges, code);
        return at >= 0 ? at % 2 == 0 : ~at % 2 == 1;
    }

    public CodeSet Or(CodeSet other) => Of(Ranges().Concat(other.Ranges()));

    public CodeSet And(CodeSet other) => Not().Or(other.Not()).Not();

    public CodeSet Not()
    {
        int[] edges = _edges is [0, .. var later] ? later : [0, .. _edges];
        return new CodeSet(edges is [.. var earlier, CodesEnd] ? earlier : [.. edges, CodesEnd]);
    }

    public IEnumerable<(int First, int Last)> Ranges()
    {
        for (var i = 0; i < _edges.Length; i += 2) yield return (_edges[i], _edges[i + 1] - 1);
    }
}
