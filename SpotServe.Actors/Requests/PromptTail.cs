using System.Collections.Immutable;

namespace SpotServe.Actors.Requests;

/// <summary>
/// The last tokens of a prompt. The text of the tokens after it depends on them: whether a first space is shown, and
/// what a character's last bytes are the end of. A character has four bytes at most, so a few tokens are enough, and
/// a long prompt need not travel to whoever reads the request.
/// </summary>
internal static class PromptTail
{
    public const int TokensMax = 16;

    public static ImmutableArray<int> Of(ImmutableArray<int> prompt) =>
        prompt.Length <= TokensMax ? prompt : prompt[^TokensMax..];

    /// <summary>The spec with no more of its prompt than that.</summary>
    public static GenerationSpec Of(GenerationSpec spec) => spec with { Prompt = Of(spec.Prompt) };
}
