using System.Text.RegularExpressions;

namespace SpotServe.Seed.Tokenization;

/// <summary>A change to the text before it is split, as tokenizer.json's "normalizer" lists them.</summary>
internal interface INormalizer
{
    string Normalize(string text);
}

internal sealed class NfcNormalizer : INormalizer
{
    public string Normalize(string text) => Nfc.Normalize(text);
}

/// <summary>Puts a text before any that is not empty (SentencePiece's dummy prefix).</summary>
internal sealed class PrependNormalizer(string prefix) : INormalizer
{
    public string Normalize(string text) => text.Length == 0 ? text : prefix + text;
}

internal sealed class ReplaceNormalizer(string pattern, string content) : INormalizer
{
    public string Normalize(string text) => text.Replace(pattern, content, StringComparison.Ordinal);
}

internal sealed class ReplacePatternNormalizer(Regex pattern, string content) : INormalizer
{
    public string Normalize(string text)
    {
        try
        {
            return pattern.Replace(text, _ => content);
        }
        catch (RegexMatchTimeoutException timeout)
        {
            throw new TextTooComplexException(timeout.MatchTimeout, timeout);
        }
    }
}

internal sealed class NormalizerSequence(IReadOnlyList<INormalizer> parts) : INormalizer
{
    public string Normalize(string text)
    {
        foreach (var part in parts) text = part.Normalize(text);
        return text;
    }
}
