using CsCheck;
using SpotServe.Seed.Tokenization;
using SpotServe.Seed.Tokenization.Patterns;
using Xunit;

namespace SpotServe.Tests.Tokenization;

/// <summary>Patterns mean what Oniguruma means by them, not what .NET does.</summary>
public sealed class PatternTests
{
    [Theory]
    [InlineData("a++a", "aaa", "")]
    [InlineData("[ab]*+b|b", "aab", "b")]
    [InlineData(" ?+x", " x x", " x| x")]
    [InlineData(@"\p{Han}+", "ab漢字々〇𠀀c", "漢字々〇𠀀")]
    [InlineData(@"\p{Hiragana}+|\p{Katakana}+", "ひらカナ", "ひら|カナ")]
    [InlineData(@"[\p{Latin}&&[^a-z]]+", "abÉÀcD", "ÉÀ|D")]
    [InlineData(@"[^\p{Han}\s]+", "ab 漢c𠀀d😀", "ab|c|d😀")]
    [InlineData(@"\P{L}+", "a1!b", "1!")]
    [InlineData(@"\p{^Lu}+", "aBc", "a|c")]
    [InlineData(@"[[:alpha:]]+", "a1b", "a|b")]
    [InlineData(@"[[:^digit:]]+", "a1b", "a|b")]
    [InlineData(@"\p{Uppercase_Letter}", "aB", "B")]
    [InlineData(@"(?i:'S|k)", "'s K \u212A", "'s|K|\u212A")]
    [InlineData(@"a(?i)b|c", "aB aC ab", "aB|aC|ab")]
    [InlineData(@"[\u{1F600}]|\x{1F600}-?", "", null)]
    [InlineData(@"[\x{1F600}-\x{1F64F}]", "a😀b", "😀")]
    [InlineData("[😀-😅]+|é", "x😀😁é", "😀😁|é")]
    [InlineData(@"\w+", "a\u0903b c_1", "a\u0903b|c_1")]
    [InlineData(@"\s+$", "a \nb  ", " |  ")]
    [InlineData(@"^.", "ab\ncd", "a|c")]
    [InlineData(@"\bcat\b", "cat cats", "cat")]
    [InlineData(@"a{,2}b", "aaab", "aab")]
    [InlineData(@"a{2}{2}", "aaaaa", "aaaa")]
    [InlineData(@"a{x}", "a{x}", "a{x}")]
    [InlineData(@"\R", "a\r\nb\n", "\r\n|\n")]
    [InlineData(@"(?<year>\d{4})-(?>\d+)", "2026-11", "2026-11")]
    [InlineData(@"\h+", "xfFg", "fF")]
    [InlineData(@"a(?#what)b", "ab", "ab")]
    [InlineData(@"[]a]+", "a]b", "a]")]
    [InlineData(@"(a)\1", "aa", null)]
    [InlineData(@"\p{Nothing}", "a", null)]
    [InlineData(@"(?x) a", "a", null)]
    [InlineData(@"[a", "a", null)]
    [InlineData(@"(a", "a", null)]
    [InlineData(@"a)", "a", null)]
    [InlineData(@"+a", "a", null)]
    [InlineData(@"\", "a", null)]
    public void Pattern_matches_or_is_refused(string pattern, string text, string? matches)
    {
        if (matches is null)
        {
            Assert.Throws<ArgumentException>(() => new RunePattern(pattern));
            return;
        }

        var found = new RunePattern(pattern).Matches(text).Select(m => text.Substring(m.Start, m.Length));

        Assert.Equal(matches, string.Join('|', found));
    }

    /// <summary>What published models cut their words with.</summary>
    [Fact]
    public void Published_patterns_cut_a_text_into_the_words_that_they_mean()
    {
        const string gpt4O =
            @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
            + @"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
            + @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
            + @"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
            + @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        const string gpt4 =
            @"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
            + @"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";

        Assert.Equal("Hello| World's| |123|45|!!\n| end", Words(gpt4O, "Hello World's 12345!!\n end"));
        // Behind {n,m}, Oniguruma takes a + for one more repetition, not for possession.
        Assert.Equal("Hello|'S| |1234|  | x", Words(gpt4, "Hello'S 1234   x"));
    }

    [Fact]
    public void Any_text_of_random_characters_is_a_pattern_or_a_refusal_and_never_anything_else() =>
        Gen.OneOf(
                Gen.OneOfConst("[", "]", "(", ")", "{", "}", "*", "+", "?", "|", "^", "$", "\\", "&&", "[:", ":]"),
                Gen.OneOfConst("(?", "\\p{L}", "\\x{", "{1,2}", "(?i)", "(?<", "a", "-", "1", ":", "\\b", "\\R"),
                Gen.OneOfConst("😀"))
            .Array[0, 12].Sample(
                parts =>
                {
                    try
                    {
                        new RunePattern(string.Concat(parts)).Matches("a-1 😀:");
                    }
                    catch (ArgumentException)
                    {
                        // Refused, and by the one exception that the loader turns into a line.
                    }
                },
                iter: 500);

    [Fact]
    public void Sets_are_those_of_a_direct_computation()
    {
        var set = Gen.Select(Gen.Int[0, 40], Gen.Int[0, 40])
            .Select((a, b) => (Math.Min(a, b), Math.Max(a, b))).Array[0, 4].Select(ranges => CodeSet.Of(ranges));
        Gen.Select(set, set).Sample((a, b) =>
        {
            for (var code = 0; code < 45; code++)
            {
                Assert.Equal(a.Contains(code) || b.Contains(code), a.Or(b).Contains(code));
                Assert.Equal(a.Contains(code) && b.Contains(code), a.And(b).Contains(code));
                Assert.Equal(!a.Contains(code), a.Not().Contains(code));
            }
        });
    }

    private static string Words(string pattern, string text) => string.Join(
        '|', new RunePattern(pattern).Matches(text).Select(m => text.Substring(m.Start, m.Length)));
}
