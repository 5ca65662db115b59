using System.Globalization;
using System.Text;

namespace SpotServe.Seed.Tokenization;

/// <summary>A change to the text before it is split, as tokenizer.json's "normalizer" lists them.</summary>
internal interface INormalizer
{
    string Normalize(string text);
}

/// <param name="isCompatible">Compatibility forms (ligatures, wide letters) become what they stand for.</param>
/// <param name="composes">Letters and their marks become one character again where there is one.</param>
internal sealed class UnicodeNormalizer(bool isCompatible, bool composes) : INormalizer
{
    public string Normalize(string text) => Nfc.Normalize(text, isCompatible, composes);
}

/// <summary>Each character by itself in lower case.</summary>
internal sealed class LowercaseNormalizer : INormalizer
{
    public string Normalize(string text)
    {
        var lower = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            // The one character whose lower case is two.
            if (rune.Value == 0x130) lower.Append("i\u0307");
            else lower.Append(Rune.ToLowerInvariant(rune));
        }

        return lower.ToString();
    }
}

/// <summary>Takes white space off a text's ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : INormalizer
{
    public string Normalize(string text)
    {
        if (left) text = text.TrimStart();
        return right ? text.TrimEnd() : text;
    }
}

/// <summary>Drops marks that take no space of their own.</summary>
internal sealed class StripAccentsNormalizer : INormalizer
{
    public string Normalize(string text)
    {
        var kept = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            if (Rune.GetUnicodeCategory(rune) != UnicodeCategory.NonSpacingMark) kept.Append(rune);
        }

        return kept.ToString();
    }
}

/// <summary>Writes bytes in <see cref="ByteAlphabet"/>.</summary>
internal sealed class ByteLevelNormalizer : INormalizer
{
    public string Normalize(string text) => ByteAlphabet.Spell(text);
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

internal sealed class ReplacePatternNormalizer(RunePattern pattern, string content) : INormalizer
{
    public string Normalize(string text) => pattern.Replace(text, content);
}

internal sealed class NormalizerSequence(IReadOnlyList<INormalizer> parts) : INormalizer
{
    public string Normalize(string text)
    {
        foreach (var part in parts) text = part.Normalize(text);
        return text;
    }
}
