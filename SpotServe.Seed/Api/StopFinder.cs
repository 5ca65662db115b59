using System.Collections.Immutable;
using System.Text;

namespace SpotServe.Seed.Api;

/// <summary>
/// Watches a text that comes in pieces for stop strings. Text that may yet turn out to be the beginning of one is held
/// back, so that nothing of a stop string is ever shown, wherever the pieces are cut. Besides the text that is shown
/// there is text that passes by unseen, of special tokens: a stop string is found in what is shown, and in both
/// together as they came.
/// </summary>
/// <param name="includesStop">The stop string that is found is shown as well.</param>
internal sealed class StopFinder(ImmutableArray<string> stops, bool includesStop = false)
{
    /// <summary>Stands for unseen text that was forgotten, so that what is around it does not meet. Half a surrogate
    /// pair, which no stop string has.</summary>
    private const char Barrier = '\uD800';

    private readonly int _stopCharsMax = stops.IsEmpty ? 0 : stops.Max(stop => stop.Length);
    private readonly StringBuilder _held = new();
    private readonly List<bool> _isShown = [];

    /// <summary>True once a stop string was seen: everything after it is ignored.</summary>
    public bool Stopped { get; private set; }

    /// <summary>The text that is now certain not to belong to a stop string.</summary>
    public string Push(string piece) => stops.IsEmpty ? piece : Add(piece, isShown: true);

    /// <summary>Takes text that is not shown.</summary>
    /// <returns>Shown text that is certain now not to belong to a stop string.</returns>
    public string Pass(string piece) => stops.IsEmpty ? "" : Add(piece, isShown: false);

    /// <summary>The text that was held back, when no more comes.</summary>
    public string Finish()
    {
        var rest = Shown(_held.Length);
        Forget(_held.Length);
        return rest;
    }

    private string Add(string piece, bool isShown)
    {
        if (Stopped || piece.Length == 0) return "";
        _held.Append(piece);
        for (var i = 0; i < piece.Length; i++) _isShown.Add(isShown);

        var all = _held.ToString();
        int[] places = [.. Enumerable.Range(0, all.Length).Where(i => _isShown[i])];
        var shown = string.Concat(places.Select(place => all[place]));
        if (Earlier(First(all, i => i), First(shown, i => places[i])) is { } stop)
        {
            Stopped = true;
            var before = Shown(includesStop ? stop.Last + 1 : stop.Begin);
            Forget(all.Length);
            return before;
        }

        var heldOfAll = all.Length - HeldLength(all);
        var heldOfShown = HeldLength(shown) is var length and > 0 ? places[^length] : all.Length;
        var certain = Math.Min(heldOfAll, heldOfShown);
        var text = Shown(certain);
        Forget(certain);
        ForgetUnseen();
        return text;
    }

    /// <summary>The stop string of a text that is completed first, as a reader of single characters would see it; of
    /// several completed by the same character the longest.</summary>
    /// <param name="place">Where a character of the text is held.</param>
    private (int Begin, int Last)? First(string text, Func<int, int> place)
    {
        (int Begin, int Last)? first = null;
        foreach (var stop in stops)
        {
            var at = text.IndexOf(stop, StringComparison.Ordinal);
            if (at >= 0) first = Earlier(first, (place(at), place(at + stop.Length - 1)));
        }

        return first;
    }

    private static (int Begin, int Last)? Earlier((int Begin, int Last)? one, (int Begin, int Last)? other)
    {
        if (one is not { } a || other is not { } b) return one ?? other;
        return b.Last < a.Last || (b.Last == a.Last && b.Begin < a.Begin) ? b : a;
    }

    /// <summary>Length of the longest end of the text that begins a stop string.</summary>
    private int HeldLength(string text)
    {
        var longest = 0;
        foreach (var stop in stops)
        {
            for (var length = Math.Min(stop.Length - 1, text.Length); length > longest; length--)
            {
                if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length))) longest = length;
            }
        }

        return longest;
    }

    private string Shown(int end)
    {
        var text = new StringBuilder(end);
        for (var i = 0; i < end; i++)
        {
            if (_isShown[i]) text.Append(_held[i]);
        }

        return text.ToString();
    }

    private void Forget(int count)
    {
        _held.Remove(0, count);
        _isShown.RemoveRange(0, count);
    }

    /// <summary>Unseen text further back than a stop string reaches matters no more; shown text may, when much unseen
    /// text came between.</summary>
    private void ForgetUnseen()
    {
        for (var i = _held.Length - _stopCharsMax; i >= 0; i--)
        {
            if (_isShown[i]) continue;
            _held[i] = Barrier;
            if (i + 1 >= _held.Length || _held[i + 1] != Barrier) continue;
            _held.Remove(i, 1);
            _isShown.RemoveAt(i);
        }
    }
}
