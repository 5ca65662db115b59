using System.Net;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Requests;

namespace SpotServe.Seed.Api;

/// <summary>Writes one request's completion to one HTTP response, streamed or whole.</summary>
internal sealed partial class CompletionResponse(
    CompletionReader reader,
    ApiOptions options,
    IHostApplicationLifetime lifetime,
    TimeProvider time,
    ILogger<CompletionResponse> log)
{
    /// <summary>Streams the pieces after token <paramref name="lastSeen"/> (-1: all).</summary>
    public async Task StreamAsync(
        HttpContext http,
        RequestId id,
        RequestDescription notes,
        CompletionForm form,
        int lastSeen,
        bool includeUsage)
    {
        using var silence = new CancellationTokenSource(options.SilenceMax, time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(
            http.RequestAborted, lifetime.ApplicationStopping, silence.Token);
        var events = new SseWriter(http.Response);
        try
        {
            // The request is known: its headers need not wait for its first token.
            await events.StartAsync(ending.Token).ConfigureAwait(false);
            if (lastSeen < 0) form.AddStart(events, id, notes);
            await foreach (var piece in reader.ReadAsync(id, notes, ending.Token).ConfigureAwait(false))
            {
                silence.CancelAfter(options.SilenceMax);
                var ended = Add(events, id, notes, form, piece, lastSeen, includeUsage);
                await events.FlushAsync(ending.Token).ConfigureAwait(false);
                if (ended) return;
            }

            throw new Actors.InvariantException("a completion's pieces end with its end");
        }
        catch (OperationCanceledException) when (!http.RequestAborted.IsCancellationRequested)
        {
            await AddErrorAsync(http, events, Interrupted(id)).ConfigureAwait(false);
        }
        catch (TooManyReadersException error)
        {
            // Another reader came between the question and this one.
            await AddErrorAsync(http, events, new ApiException(
                HttpStatusCode.TooManyRequests, error.Message, code: "too_many_readers",
                retryAfter: options.RetryAfter)).ConfigureAwait(false);
        }
        catch (Exception error) when (http.Response.HasStarted && !http.RequestAborted.IsCancellationRequested)
        {
            LogBroken(log, id, error);
            await AddErrorAsync(http, events, Failed(id, "This server could not go on.")).ConfigureAwait(false);
        }
    }

    /// <summary>Answers with the whole completion.</summary>
    /// <exception cref="ApiException">It failed, or was interrupted.</exception>
    public async Task WriteAsync(HttpContext http, RequestId id, RequestDescription notes, CompletionForm form)
    {
        using var silence = new CancellationTokenSource(options.SilenceMax, time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(
            http.RequestAborted, lifetime.ApplicationStopping, silence.Token);
        var text = new System.Text.StringBuilder();
        try
        {
            await foreach (var piece in reader.ReadAsync(id, notes, ending.Token).ConfigureAwait(false))
            {
                silence.CancelAfter(options.SilenceMax);
                switch (piece)
                {
                    case CompletionPiece.Token token:
                        text.Append(token.Text);
                        break;
                    case CompletionPiece.Broken broken:
                        throw Failed(id, broken.Error);
                    case CompletionPiece.End end:
                        text.Append(end.Text);
                        var usage = Usage(notes.PromptTokens, end.TokenCount);
                        await form.WriteAsync(http, id, notes, text.ToString(), end.FinishReason, usage)
                            .ConfigureAwait(false);
                        return;
                    default:
                        throw new System.Diagnostics.UnreachableException();
                }
            }
        }
        catch (OperationCanceledException) when (!http.RequestAborted.IsCancellationRequested)
        {
            throw Interrupted(id);
        }
    }

    /// <summary>Adds what a piece says; true when it was the last one.</summary>
    private static bool Add(
        SseWriter events,
        RequestId id,
        RequestDescription notes,
        CompletionForm form,
        CompletionPiece piece,
        int lastSeen,
        bool includeUsage)
    {
        switch (piece)
        {
            case CompletionPiece.Token token:
                if (token.Index > lastSeen) form.AddText(events, id, notes, token.Text, token.Index);
                return false;
            case CompletionPiece.End end:
                if (end.TokenCount > lastSeen)
                    form.AddEnd(events, id, notes, end.Text, end.FinishReason, end.TokenCount);
                if (includeUsage) form.AddUsage(events, id, notes, Usage(notes.PromptTokens, end.TokenCount));
                events.AddDone();
                return true;
            case CompletionPiece.Broken broken:
                // The id of an end, as above: with it an EventSource that connects again gets 204.
                events.Add(
                    Failed(id, broken.Error).Body, ApiJson.Plain.ErrorEnvelope, broken.TokenCount, name: "error");
                return true;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    private static UsageBody Usage(int prompt, int completion) => new(prompt, completion, prompt + completion);

    private static async Task AddErrorAsync(HttpContext http, SseWriter events, ApiException error)
    {
        if (!http.Response.HasStarted) throw error;
        events.Add(error.Body, ApiJson.Plain.ErrorEnvelope, name: "error");
        await events.FlushAsync(http.RequestAborted).ConfigureAwait(false);
    }

    private static ApiException Failed(RequestId id, string why) =>
        new(HttpStatusCode.InternalServerError, $"Request {id} cannot be completed: {why}", code: "request_failed");

    private ApiException Interrupted(RequestId id) => new(
        HttpStatusCode.ServiceUnavailable,
        (lifetime.ApplicationStopping.IsCancellationRequested
            ? "This server is stopping"
            : $"There was no token for {options.SilenceMax.TotalSeconds:0.#} s") +
        $"; request {id} goes on. Read the rest with GET /v1/requests/{id}.",
        code: "interrupted",
        retryAfter: options.RetryAfter);

    [LoggerMessage(Level = LogLevel.Error, Message = "The response to request {Id} broke off")]
    private static partial void LogBroken(ILogger log, RequestId id, Exception error);
}
