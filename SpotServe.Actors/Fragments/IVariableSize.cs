using System.Collections.Immutable;

namespace SpotServe.Actors.Fragments;

/// <summary>
/// A message that is mostly short and sometimes long, and sent so often that measuring each by writing it would cost.
/// </summary>
internal interface IVariableSize
{
    /// <summary>It takes no more than this, in bytes; cheap to say.</summary>
    long BytesMax { get; }
}

/// <summary>Upper bounds of what parts of a message take.</summary>
internal static class SizeBounds
{
    /// <summary>Ids, numbers and type marks of a message.</summary>
    public const int Frame = 1_024;

    /// <summary>The same of one part of several in a message.</summary>
    public const int Part = 128;

    /// <summary>A token is a varint.</summary>
    public static long Tokens(long count) => count * Serialization.Varint.BytesMax;

    public static long Logprobs(ImmutableArray<TokenLogprobs> logprobs)
    {
        var bytes = 0L;
        foreach (var one in logprobs) bytes += TokenLogprobs.BytesMax(one.Top.Length);
        return bytes;
    }

    /// <summary>UTF-8 takes three bytes at most for each UTF-16 unit.</summary>
    public static long Text(string? text) => 3L * (text?.Length ?? 0);
}
