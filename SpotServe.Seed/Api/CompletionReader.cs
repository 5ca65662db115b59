using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Api;

/// <summary>Part of a completion as a client sees it.</summary>
internal abstract record CompletionPiece
{
    private CompletionPiece()
    {
    }

    /// <summary>Another piece came together with it: whoever sends them had better wait for that.</summary>
    public bool IsFollowed { get; init; }

    /// <summary>The text that one token brought; empty when it only began a character or perhaps a stop
    /// string.</summary>
    /// <param name="Logprobs">Where the client wants them.</param>
    public sealed record Token(int Index, string Text, TokenLogprobText? Logprobs) : CompletionPiece;

    /// <summary>The end, with the text that was still held back.</summary>
    /// <param name="TokenCount">Tokens generated, stop tokens included.</param>
    public sealed record End(int TokenCount, string Text, string FinishReason) : CompletionPiece
    {
        /// <summary>Tokens of the prompt that were not computed, because kept pages held them.</summary>
        public int ReusedTokens { get; init; }

        /// <summary>Of the prompt's tokens from the second on, where the request wants them.</summary>
        public ImmutableArray<TokenLogprobs> PromptLogprobs { get; init; } = [];
    }

    /// <summary>It cannot go on.</summary>
    /// <param name="TokenCount">Tokens generated, when the request itself ended so; null when it may go on.</param>
    public sealed record Broken(string Error, int? TokenCount = null) : CompletionPiece
    {
        /// <summary>Its time was over.</summary>
        public bool IsLate { get; init; }
    }
}

/// <summary>Turns a request's tokens into text pieces. The same tokens give the same pieces, whoever reads and
/// when.</summary>
internal sealed class CompletionReader(IGenerationClient cluster, CompletionModel model)
{
    public const string Cancelled = "cancelled";

    /// <summary>Pieces of several requests that wait to be written.</summary>
    private const int PiecesMax = 64;

    private readonly TokenTexts _texts = new(model.Tokenizer);

    /// <summary>All pieces of all choices, each choice's in order.</summary>
    /// <exception cref="RequestUnknownException">There is no such request.</exception>
    public IAsyncEnumerable<(OpenChoice Choice, CompletionPiece Piece)> ReadAllAsync(
        ImmutableArray<OpenChoice> choices, CancellationToken cancel) =>
        choices.Length == 1 ? ReadOneAsync(choices[0], cancel) : ReadTogetherAsync(choices, cancel);

    /// <summary>All pieces from the first token on; the last is an End or a Broken. Ends the generation itself at a
    /// stop string, if the cluster has not, and nowhere else.</summary>
    /// <exception cref="RequestUnknownException">No such request.</exception>
    public async IAsyncEnumerable<CompletionPiece> ReadAsync(
        RequestId id, RequestDescription notes, [EnumeratorCancellation] CancellationToken cancel)
    {
        var completion = new CompletionText(model.Tokenizer, notes);
        var (count, reused) = (0, 0);
        ImmutableArray<TokenLogprobs> prompt = [];
        CompletionPiece? held = null;   // until it is known whether another follows
        await foreach (var batch in cluster.StreamAsync(id, 0, cancel).ConfigureAwait(false))
        {
            if (batch.FirstIndex != count)
            {
                yield return new CompletionPiece.Broken(
                    $"The cluster sent token {batch.FirstIndex} where {count} was next.");
                yield break;
            }

            reused = batch.ReusedTokens;
            if (batch.FirstIndex == 0) prompt = batch.PromptLogprobs;
            for (var i = 0; i < batch.Tokens.Length; i++)
            {
                count++;
                if (completion.Push(batch.Tokens[i]) is not { } text) continue;
                if (held is not null) yield return held with { IsFollowed = true };
                held = new CompletionPiece.Token(count - 1, text, LogprobsOf(batch, i));
                if (!completion.Stopped) continue;
                yield return held with { IsFollowed = true };

                if (batch.Finished is null) cluster.Cancel(id);
                yield return new CompletionPiece.End(count, "", "stop")
                {
                    ReusedTokens = reused,
                    PromptLogprobs = prompt,
                };
                yield break;
            }

            if (held is not null) yield return batch.Finished is null ? held : held with { IsFollowed = true };
            held = null;
            if (batch.Finished is not { } reason) continue;
            yield return reason is FinishReason.Failed or FinishReason.TimedOut
                ? new CompletionPiece.Broken(batch.Error ?? "The cluster gave no reason.", count)
                {
                    IsLate = reason == FinishReason.TimedOut,
                }
                : Ended(reason);
            yield break;
        }

        yield return new CompletionPiece.Broken("The cluster ended the tokens without saying why.");

        CompletionPiece.End Ended(FinishReason reason)
        {
            var rest = completion.Finish();
            return new CompletionPiece.End(count, rest, completion.Stopped ? "stop" : NameOf(reason))
            {
                ReusedTokens = reused,
                PromptLogprobs = prompt,
            };
        }
    }

    private async IAsyncEnumerable<(OpenChoice, CompletionPiece)> ReadOneAsync(
        OpenChoice choice, [EnumeratorCancellation] CancellationToken cancel)
    {
        await foreach (var piece in ReadAsync(choice, cancel).ConfigureAwait(false)) yield return (choice, piece);
    }

    /// <summary>What the client of a choice is shown of its pieces.</summary>
    private async IAsyncEnumerable<CompletionPiece> ReadAsync(
        OpenChoice choice, [EnumeratorCancellation] CancellationToken cancel)
    {
        await foreach (var piece in ReadAsync(choice.Id, choice.Notes, cancel).ConfigureAwait(false))
        {
            if (choice.ShowsGenerated) yield return piece;
            else if (piece is CompletionPiece.End { FinishReason: not Cancelled } end)
                yield return end with { TokenCount = 0, Text = "", FinishReason = NameOf(FinishReason.Length) };
            else if (piece is CompletionPiece.End cancelled) yield return cancelled with { TokenCount = 0, Text = "" };
            else if (piece is CompletionPiece.Broken) yield return piece;
        }
    }

    private async IAsyncEnumerable<(OpenChoice, CompletionPiece)> ReadTogetherAsync(
        ImmutableArray<OpenChoice> choices, [EnumeratorCancellation] CancellationToken cancel)
    {
        // A reader that stops early must not leave the others waiting for room.
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var pieces = Channel.CreateBounded<(OpenChoice, CompletionPiece)>(PiecesMax);
        var reading = Task.WhenAll(choices.Select(choice => PassAsync(choice, pieces.Writer, ending.Token)));
        _ = reading.ContinueWith(
            all => pieces.Writer.TryComplete(all.Exception?.InnerException), CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        try
        {
            await foreach (var piece in pieces.Reader.ReadAllAsync(cancel).ConfigureAwait(false)) yield return piece;
        }
        finally
        {
            await ending.CancelAsync().ConfigureAwait(false);
        }
    }

    private async Task PassAsync(
        OpenChoice choice, ChannelWriter<(OpenChoice, CompletionPiece)> pieces, CancellationToken cancel)
    {
        await foreach (var piece in ReadAsync(choice, cancel).ConfigureAwait(false))
            await pieces.WriteAsync((choice, piece), cancel).ConfigureAwait(false);
    }

    private TokenLogprobText? LogprobsOf(TokenBatch batch, int i) =>
        batch.Logprobs.IsEmpty ? null : _texts.Of(batch.Tokens[i], batch.Logprobs[i]);

    private static string NameOf(FinishReason reason) => reason switch
    {
        FinishReason.Stop => "stop",
        FinishReason.Length => "length",
        FinishReason.Cancelled => Cancelled,
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
