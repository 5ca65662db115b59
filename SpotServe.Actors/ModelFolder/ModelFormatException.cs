namespace SpotServe.Actors.ModelFolder;

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
