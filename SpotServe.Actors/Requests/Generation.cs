using System.Collections.Immutable;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.Requests;

/// <summary>Name of a request, unique in the cluster, e.g. "cmpl-01hf...". Also its sharding key.</summary>
public readonly record struct RequestId(string Value)
{
    public override string ToString() => Value;
}

/// <summary>How a request's tokens are generated.</summary>
/// <param name="TokensMax">Tokens to generate at most, >= 1.</param>
/// <param name="StopTokens">Tokens that end the generation; the stop token itself is not part of the text.</param>
public sealed record GenerationParameters(
    int TokensMax, SamplingParameters Sampling, ImmutableArray<int> StopTokens)
{
    /// <summary>Whether special tokens are part of the text; else they are left out of it.</summary>
    public bool ShowsSpecialTokens { get; init; }
}

/// <summary>Why a generation ended.</summary>
public enum FinishReason
{
    /// <summary>A stop token was drawn.</summary>
    Stop,

    /// <summary>TokensMax or the model's context was reached.</summary>
    Length,

    /// <summary>The client went away or asked to stop.</summary>
    Cancelled,

    /// <summary>It cannot be continued; the error says why.</summary>
    Failed,
}
