namespace SpotServe.Actors.Execution;

/// <summary>A data-plane peer closed its connection or broke the protocol. The epoch cannot go on.</summary>
public sealed class PeerLostException(string peer, string reason, Exception? inner = null)
    : Exception($"Lost data-plane peer {peer}: {reason}", inner)
{
    public string Peer { get; } = peer;

    /// <summary>Name of the peer's node, where that is known: the planner asks first whether it still lives.</summary>
    public string? Node { get; init; }

    /// <summary>Nothing came from it in time. False when it closed a link, as those do that lost another.</summary>
    public bool IsSilent { get; init; }
}

/// <summary>
/// The device or its engine failed (out of memory, driver error); only a new process can use it again.
/// </summary>
public sealed class EngineLostException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A model folder is unusable; the message names file, tensor and what was expected.</summary>
public sealed class ModelFormatException(string message, Exception? inner = null)
    : Exception(OneLine(message), inner)
{
    private const int CharsMax = 1000;

    /// <summary>Names and values of a file may hold anything and be of any length; an error is one line.</summary>
    private static string OneLine(string text)
    {
        if (text.Length > CharsMax) text = text[..CharsMax] + "...";
        return string.Concat(text.Select(c => char.IsControl(c) || c is '\u2028' or '\u2029' ? ' ' : c));
    }
}
