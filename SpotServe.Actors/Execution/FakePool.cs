using System.Runtime.InteropServices;
using SpotServe.Actors.Execution.Memory;

namespace SpotServe.Actors.Execution;

/// <summary>The fake engine's pages of one layer: one number for each token and key/value head, [pages][heads][tokens].
/// A page takes memory from its first use on, because simulations make many that are never used.</summary>
internal sealed class FakePool(PageShape shape) : TensorBytes(
    shape.PageCount * shape.Heads.Count * HeadBytes)
{
    private const int HeadBytes = KvPage.Tokens * sizeof(float);

    /// <summary>What a page holds where nothing was written; reading it changes the tokens.</summary>
    private const float Unwritten = -2;

    private readonly float[]?[] _pages = new float[shape.PageCount][];
    private readonly int _pageLength = (int)shape.Heads.Count * KvPage.Tokens;
    private bool _isFreed;

    public PageShape Shape => shape;

    /// <summary>Pages of fake engines: keys and values are one number.</summary>
    public static PageStore Store() => new(HeadBytes, halves: 1);

    public Span<float> Page(int page)
    {
        Invariant.Holds(!_isFreed);
        if (_pages[page] is { } known) return known;
        var values = new float[_pageLength];
        values.AsSpan().Fill(Unwritten);
        return _pages[page] = values;
    }

    public override Span<byte> Direct(long offset, long bytes) => [];

    public override void Read(long offset, Span<byte> into)
    {
        while (into.Length > 0)
        {
            var run = RunAt(offset, into.Length);
            run.CopyTo(into);
            into = into[run.Length..];
            offset += run.Length;
        }
    }

    public override void Write(long offset, ReadOnlySpan<byte> from)
    {
        while (from.Length > 0)
        {
            var run = RunAt(offset, from.Length);
            from[..run.Length].CopyTo(run);
            from = from[run.Length..];
            offset += run.Length;
        }
    }

    protected override void Free() => _isFreed = true;

    private Span<byte> RunAt(long offset, int lengthMax)
    {
        var bytes = _pageLength * sizeof(float);
        var rest = MemoryMarshal.AsBytes(Page((int)(offset / bytes)))[(int)(offset % bytes)..];
        return rest[..Math.Min(rest.Length, lengthMax)];
    }
}
