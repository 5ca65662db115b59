using System.Collections.Immutable;
using SpotServe.Actors.Requests;

namespace SpotServe.Seed.Api;

/// <summary>A completion request that has been read and found to be within all bounds.</summary>
/// <param name="IncludeUsage">A stream's last chunk counts the tokens.</param>
internal sealed record CompletionRequest(GenerationSpec Spec, bool Stream, bool IncludeUsage)
{
    /// <summary>Names of fields that are not known here; as other servers do, they are read over.</summary>
    public ImmutableArray<string> Ignored { get; init; } = [];
}
