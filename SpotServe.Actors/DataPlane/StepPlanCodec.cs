using System.Buffers.Binary;
using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>What a step plan may ask of an engine; plans off the network are held to it.</summary>
/// <param name="StepTokensMax">Most tokens of a step.</param>
/// <param name="SequencesMax">Most chunks of a step.</param>
/// <param name="PageCount">KV pages that the engine has: page ids are below it.</param>
/// <param name="ContextMax">Most tokens of a sequence.</param>
/// <param name="VocabularySize">Tokens are below it.</param>
public sealed record StepPlanLimits(
    int StepTokensMax, int SequencesMax, int PageCount, int ContextMax, int VocabularySize)
{
    public static StepPlanLimits Of(StageAssignment assignment, ModelSpec model) => new(
        assignment.StepTokensMax,
        assignment.SequencesMax,
        assignment.PageCount,
        model.ContextMax,
        model.VocabularySize);

    /// <summary>Most page table entries of a step: every sequence at its longest.</summary>
    internal int PageEntriesMax => checked(SequencesMax * KvPage.Count(ContextMax));

    /// <summary>Longest encoded plan.</summary>
    internal int PlanBytesMax => (int)Math.Min(
        int.MaxValue / 2,
        StepPlanCodec.HeadBytes
        + ((long)SequencesMax * StepPlanCodec.ChunkBytes)
        + (sizeof(int) * (StepTokensMax + (long)PageEntriesMax + ShapeIntsMax)));

    /// <summary>Most numbers of a step's shapes.</summary>
    internal long ShapeIntsMax => SequencesMax * DrawShape.IntsMax(ContextMax);
}

/// <summary>
/// Step plans as bytes: step id (8), counts of chunks, tokens, page entries and numbers of shapes (4 each); then the
/// four lists as they lie in memory (little-endian machines only). Decoding checks all that an engine relies on, but
/// for token ids: these come from requests, and one that the model does not have is its sequence's fault
/// (<see cref="StepFailure.OfTokens"/>), where all the rest would be the leader's.
/// </summary>
public static class StepPlanCodec
{
    internal const int HeadBytes = 24;
    internal const int ChunkBytes = 64;

    static StepPlanCodec()
    {
        Invariant.Holds(BitConverter.IsLittleEndian);
        Invariant.Holds(System.Runtime.CompilerServices.Unsafe.SizeOf<SequenceChunk>() == ChunkBytes);
    }

    public static int EncodedBytes(StepPlan plan) =>
        HeadBytes + (plan.Chunks.Length * ChunkBytes)
        + (sizeof(int) * (plan.Tokens.Length + plan.Pages.Length + plan.Shapes.Length));

    /// <summary>Writes the plan to the first <see cref="EncodedBytes"/> of <paramref name="into"/>.</summary>
    public static void Encode(StepPlan plan, Span<byte> into)
    {
        BinaryPrimitives.WriteInt64LittleEndian(into, plan.StepId);
        BinaryPrimitives.WriteInt32LittleEndian(into[8..], plan.Chunks.Length);
        BinaryPrimitives.WriteInt32LittleEndian(into[12..], plan.Tokens.Length);
        BinaryPrimitives.WriteInt32LittleEndian(into[16..], plan.Pages.Length);
        BinaryPrimitives.WriteInt32LittleEndian(into[20..], plan.Shapes.Length);
        var chunks = MemoryMarshal.AsBytes(plan.Chunks);
        var tokens = MemoryMarshal.AsBytes(plan.Tokens);
        chunks.CopyTo(into[HeadBytes..]);
        tokens.CopyTo(into[(HeadBytes + chunks.Length)..]);
        var pages = MemoryMarshal.AsBytes(plan.Pages);
        pages.CopyTo(into[(HeadBytes + chunks.Length + tokens.Length)..]);
        MemoryMarshal.AsBytes(plan.Shapes).CopyTo(into[(HeadBytes + chunks.Length + tokens.Length + pages.Length)..]);
    }

    /// <summary>Reads a plan; <paramref name="plan"/> is changed only when it is right.</summary>
    /// <returns>What is wrong with it, or null.</returns>
    public static string? Decode(ReadOnlySpan<byte> from, StepPlanLimits limits, StepPlan plan)
    {
        if (from.Length < HeadBytes) return $"a plan of {from.Length} bytes";
        var stepId = BinaryPrimitives.ReadInt64LittleEndian(from);
        var chunkCount = BinaryPrimitives.ReadInt32LittleEndian(from[8..]);
        var tokenCount = BinaryPrimitives.ReadInt32LittleEndian(from[12..]);
        var pageCount = BinaryPrimitives.ReadInt32LittleEndian(from[16..]);
        var shapeCount = BinaryPrimitives.ReadInt32LittleEndian(from[20..]);
        var outOfBounds = Bound("chunks", chunkCount, limits.SequencesMax)
            ?? Bound("tokens", tokenCount, limits.StepTokensMax)
            ?? Bound("pages", pageCount, limits.PageEntriesMax);
        if (outOfBounds is not null) return outOfBounds;
        if (shapeCount < 0 || shapeCount > limits.ShapeIntsMax) return $"a plan with shapes of {shapeCount} numbers";
        var length = HeadBytes + (chunkCount * ChunkBytes)
            + (sizeof(int) * ((long)tokenCount + pageCount + shapeCount));
        if (from.Length != length) return $"a plan of {from.Length} bytes whose counts make {length}";

        var chunks = MemoryMarshal.Cast<byte, SequenceChunk>(from.Slice(HeadBytes, chunkCount * ChunkBytes));
        var numbers = MemoryMarshal.Cast<byte, int>(from[(HeadBytes + (chunkCount * ChunkBytes))..]);
        var tokens = numbers[..tokenCount];
        var pages = numbers.Slice(tokenCount, pageCount);
        var shapes = numbers[(tokenCount + pageCount)..];
        var violation = CheckChunks(chunks, tokenCount, pageCount, limits)
            ?? CheckPages(pages, limits.PageCount)
            ?? CheckShapes(chunks, shapes, limits);
        if (violation is null) plan.Load(stepId, chunks, tokens, pages, shapes);
        return violation;
    }

    private static string? CheckChunks(
        ReadOnlySpan<SequenceChunk> chunks, int tokenCount, int pageCount, StepPlanLimits limits)
    {
        var (tokenOffset, pageOffset) = (0, 0);
        foreach (ref readonly var chunk in chunks)
        {
            if (chunk.Count < 1 || chunk.Start < 0 || chunk.Start > limits.ContextMax - chunk.Count)
            {
                return $"a chunk of {chunk.Count} tokens from {chunk.Start}; the context is {limits.ContextMax}";
            }

            if (chunk.TokenOffset != tokenOffset || chunk.Count > tokenCount - tokenOffset)
            {
                return $"a chunk with tokens at {chunk.TokenOffset} where {tokenOffset} of {tokenCount} was due";
            }

            if (chunk.PageOffset != pageOffset
                || chunk.PageCount != KvPage.Count(chunk.Start + chunk.Count)
                || chunk.PageCount > pageCount - pageOffset)
            {
                return $"a chunk with {chunk.PageCount} pages at {chunk.PageOffset} of {pageCount}";
            }

            if (chunk.Samples is not (0 or 1)) return $"a chunk with samples = {chunk.Samples}";
            if (chunk.Replays is not (0 or 1)) return $"a chunk with replays = {chunk.Replays}";
            if (chunk.Scores is < 0 or > TokenLogprobs.TopMax + 1) return $"a chunk with scores = {chunk.Scores}";
            if ((uint)chunk.Follower >= (uint)limits.VocabularySize) return $"a chunk before token {chunk.Follower}";
            var sampling = chunk.Sampling;
            var isSamplingSane = float.IsFinite(sampling.Temperature) && sampling.Temperature >= 0
                && sampling.TopP is >= 0 and <= 1 && sampling.TopK >= 0;
            if (!isSamplingSane) return $"a chunk with {sampling}";
            tokenOffset += chunk.Count;
            pageOffset += chunk.PageCount;
        }

        return tokenOffset == tokenCount && pageOffset == pageCount
            ? null
            : $"chunks with {tokenOffset} tokens and {pageOffset} pages of {tokenCount} and {pageCount}";
    }

    private static string? CheckShapes(
        ReadOnlySpan<SequenceChunk> chunks, ReadOnlySpan<int> shapes, StepPlanLimits limits)
    {
        var offset = 0;
        foreach (ref readonly var chunk in chunks)
        {
            if (chunk.ShapeOffset != offset || chunk.ShapeLength < 0 || chunk.ShapeLength > shapes.Length - offset)
                return $"a chunk with a shape of {chunk.ShapeLength} numbers at {chunk.ShapeOffset} of {shapes.Length}";
            var shape = shapes.Slice(offset, chunk.ShapeLength);
            if (DrawShape.Violation(shape, limits.ContextMax, limits.VocabularySize) is { } violation) return violation;
            offset += chunk.ShapeLength;
        }

        return offset == shapes.Length ? null : $"{shapes.Length - offset} numbers of shapes that are nobody's";
    }

    private static string? CheckPages(ReadOnlySpan<int> pages, int end)
    {
        foreach (var page in pages)
        {
            if ((uint)page >= (uint)end) return $"page {page}; there are {end}";
        }

        return null;
    }

    private static string? Bound(string what, int count, int max) =>
        count >= 1 && count <= max ? null : $"a plan with {count} {what}; the limit is {max}";
}
