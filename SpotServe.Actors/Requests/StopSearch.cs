using System.Collections.Immutable;

namespace SpotServe.Actors.Requests;

/// <summary>
/// Finds the stop strings of one request in its tokens. A seam, because it takes a tokenizer, which only the control
/// node's HTTP side has.
/// </summary>
public interface IStopSearch
{
    /// <summary>Takes the next token of the text; true once a stop string is complete.</summary>
    bool Push(int token);
}

/// <summary>Begins a search at the start of a request's text.</summary>
/// <param name="spec">Has at least one stop string.</param>
public delegate IStopSearch StopSearchFactory(GenerationSpec spec);

/// <summary>
/// Cuts a request's tokens behind the one that completes a stop string, so that a request ends there whether a client
/// reads it or not. Sees each token once, in order.
/// </summary>
internal sealed class StopCut(IStopSearch? search)
{
    private int _next;

    /// <summary>True once a stop string is complete: no token is wanted any more.</summary>
    public bool Stopped { get; private set; }

    /// <summary>The part of a run of tokens that belongs to the request; all of it while nothing stops it.</summary>
    /// <param name="firstIndex">At most the count of tokens seen before; earlier ones are known already.</param>
    public ImmutableArray<int> Take(int firstIndex, ImmutableArray<int> tokens)
    {
        if (search is null) return tokens;
        Invariant.Holds(firstIndex <= _next);
        for (var i = _next - firstIndex; i < tokens.Length; i++)
        {
            _next++;
            if (!search.Push(tokens[i])) continue;
            Stopped = true;
            return tokens[..(i + 1)];
        }

        return tokens;
    }
}
