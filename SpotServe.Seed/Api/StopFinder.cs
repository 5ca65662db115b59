using System.Collections.Immutable;

namespace SpotServe.Seed.Api;

/// <summary>
/// Watches a text that comes in pieces for stop strings. Text that may yet turn out to be the beginning of one is held
/// back, so that nothing of a stop string is ever shown, wherever the pieces are cut.
/// </summary>
internal sealed class StopFinder(ImmutableArray<string> stops)
{
    private string _held = "";

    /// <summary>True once a stop string was seen: everything after it is ignored.</summary>
    public bool Stopped { get; private set; }

    /// <summary>The text that is now certain not to belong to a stop string.</summary>
    public string Push(string piece)
    {
        if (stops.IsEmpty) return piece;
        if (Stopped) return "";
        var text = _held + piece;
        var stop = First(text);
        if (stop >= 0)
        {
            Stopped = true;
            _held = "";
            return text[..stop];
        }

        var kept = HeldLength(text);
        _held = text[(text.Length - kept)..];
        return text[..^kept];
    }

    /// <summary>The text that was held back, when no more comes.</summary>
    public string Finish()
    {
        var rest = _held;
        _held = "";
        return rest;
    }

    /// <summary>Where the stop string begins that is completed first, as a reader of single characters would see
    /// it; of several completed by the same character the longest. Negative when there is none.</summary>
    private int First(string text)
    {
        var (begin, end) = (-1, int.MaxValue);
        foreach (var stop in stops)
        {
            var at = text.IndexOf(stop, StringComparison.Ordinal);
            if (at < 0) continue;
            var after = at + stop.Length;
            if (after < end || (after == end && at < begin)) (begin, end) = (at, after);
        }

        return begin;
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
}
