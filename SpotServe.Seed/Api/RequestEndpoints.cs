using System.Globalization;
using System.Net;
using System.Text;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Api;

/// <summary>
/// GET /v1/requests/{id}: a request read again, as its text so far or as a stream from Last-Event-ID on; DELETE ends
/// it. GET /admin/requests lists those that have not ended: for operators, since it shows everybody's, where knowing
/// its id is what lets a client read and end its own.
/// </summary>
internal sealed class RequestEndpoints(
    IGenerationClient cluster,
    CompletionReader reader,
    CompletionResponse response,
    TextForm texts,
    ChatForm chats,
    OpenResponses open,
    ApiOptions options,
    TimeProvider time)
{
    /// <summary>Once tokens have come, the rest that is there comes at once; so a short pause means that this is
    /// all.</summary>
    private static readonly TimeSpan PauseMax = TimeSpan.FromMilliseconds(100);

    private const int IdCharsMax = 128;
    private const int ListedDefault = 100;
    private const int ListedMax = 1000;

    public async Task GetAsync(HttpContext http)
    {
        using var place = open.Enter();
        await OnRequestAsync(http, id => AnswerAsync(http, id)).ConfigureAwait(false);
    }

    /// <summary>Ends a request, also one that goes on without its client. Idempotent.</summary>
    public Task DeleteAsync(HttpContext http) => OnRequestAsync(http, async id =>
    {
        var reason = await cluster.CancelAsync(id, http.RequestAborted).ConfigureAwait(false);
        var status = reason switch
        {
            FinishReason.Cancelled => CompletionReader.Cancelled,
            FinishReason.Failed => "failed",
            FinishReason.Stop or FinishReason.Length => "completed",
            _ => throw new System.Diagnostics.UnreachableException(),
        };
        await http.Response.WriteAsJsonAsync(
            new EndedBody(id.Value, "request", status),
            ApiJson.Plain.EndedBody,
            cancellationToken: http.RequestAborted).ConfigureAwait(false);
    });

    /// <summary>GET /admin/requests?limit=100: the oldest that have not ended, of all control nodes.</summary>
    public async Task ListAsync(HttpContext http)
    {
        var text = (string?)http.Request.Query["limit"];
        var limit = ListedDefault;
        if (text is not null && (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out limit)
            || limit is < 1 or > ListedMax))
        {
            throw ApiException.BadField("limit", $"is {RequestFields.Shorten(text)}; it must be 1 to {ListedMax}.");
        }

        try
        {
            var found = await cluster.ListOpenAsync(limit, http.RequestAborted).ConfigureAwait(false);
            var body = new OpenRequestsBody([.. found.Requests.Select(BodyOf)], found.IsComplete);
            await http.Response.WriteAsJsonAsync(
                body, ApiJson.Plain.OpenRequestsBody, cancellationToken: http.RequestAborted).ConfigureAwait(false);
        }
        catch (JournalSilentException error)
        {
            throw new ApiException(
                HttpStatusCode.ServiceUnavailable, error.Message, code: "journal_silent",
                retryAfter: options.RetryAfter);
        }
    }

    private static OpenRequestBody BodyOf(OpenRequest request) => new(
        request.Id.Value,
        request.Progress?.At.ToUnixTimeSeconds(),
        request.Progress?.PromptTokens,
        request.Progress?.GeneratedTokens,
        request.Progress?.Readers);

    /// <summary>Does something with the request that the path names.</summary>
    private async Task OnRequestAsync(HttpContext http, Func<RequestId, Task> use)
    {
        var id = (string)http.GetRouteValue("id")!;
        if (id.Length > IdCharsMax || !id.All(IsOfId)) throw Unknown(RequestFields.Shorten(id));
        try
        {
            await use(new RequestId(id)).ConfigureAwait(false);
        }
        catch (RequestUnknownException)
        {
            throw Unknown(id);
        }
        catch (RequestDamagedException error)
        {
            // It was here, it will not be again, and asking once more does not help.
            throw new ApiException(HttpStatusCode.Gone, error.Message, code: "request_damaged");
        }
        catch (TooManyReadersException error)
        {
            throw TooManyReaders(error);
        }
        catch (RequestSilentException error)
        {
            throw new ApiException(
                HttpStatusCode.ServiceUnavailable, error.Message, code: "request_silent",
                retryAfter: options.RetryAfter);
        }
    }

    private async Task AnswerAsync(HttpContext http, RequestId id)
    {
        var lastSeen = LastSeen(http);
        var notes = await cluster.DescribeAsync(id, http.RequestAborted).ConfigureAwait(false);
        if (!SseWriter.IsAskedFor(http.Request))
        {
            var body = await SnapshotAsync(id, notes, http.RequestAborted).ConfigureAwait(false);
            await http.Response
                .WriteAsJsonAsync(body, ApiJson.Plain.RequestBody, cancellationToken: http.RequestAborted)
                .ConfigureAwait(false);
            return;
        }

        if (notes.HasEnded && lastSeen >= notes.TokenCount)
        {
            // An EventSource connects again after every end of a stream, and only this keeps it from doing so.
            http.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        // Before the headers go out this can still be said with a status.
        if (notes.IsFull) throw TooManyReaders(new TooManyReadersException(id));
        if (HttpMethods.IsHead(http.Request.Method)) SseWriter.SetHeaders(http.Response);
        else await response.StreamAsync(http, Answer.Of(id, notes, FormOf(notes)), lastSeen).ConfigureAwait(false);
    }

    private CompletionForm FormOf(RequestDescription notes) => notes.Tail.Kind switch
    {
        CompletionKind.Text => texts,
        CompletionKind.Chat => chats,
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    private async Task<RequestBody> SnapshotAsync(
        RequestId id, RequestDescription notes, CancellationToken aborted)
    {
        using var waited = new CancellationTokenSource(options.SnapshotWait, time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(waited.Token, aborted);
        var text = new StringBuilder();
        var count = 0;
        var body = new RequestBody(
            id.Value, "request", "in_progress", notes.At.ToUnixTimeSeconds(), "", notes.PromptTokens, 0, null, null);
        try
        {
            await foreach (var piece in reader.ReadAsync(id, notes, ending.Token).ConfigureAwait(false))
            {
                switch (piece)
                {
                    case CompletionPiece.Token token:
                        // Only the first token shortens the wait: a fast generation must not make it endless.
                        if (count == 0) waited.CancelAfter(PauseMax);
                        text.Append(token.Text);
                        count = token.Index + 1;
                        break;
                    case CompletionPiece.End end:
                        text.Append(end.Text);
                        count = end.TokenCount;
                        body = body with
                        {
                            Status = end.FinishReason == CompletionReader.Cancelled ? "cancelled" : "completed",
                            FinishReason = end.FinishReason,
                        };
                        break;
                    case CompletionPiece.Broken broken:
                        body = body with { Status = "failed", Error = broken.Error };
                        break;
                    default:
                        throw new System.Diagnostics.UnreachableException();
                }
            }
        }
        catch (OperationCanceledException) when (!aborted.IsCancellationRequested)
        {
            // What came within the time is the answer.
        }

        return body with { Text = text.ToString(), CompletionTokens = count };
    }

    /// <summary>What ids are made of; anything else was never given out, and the cluster need not be asked.</summary>
    private static bool IsOfId(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_';

    private ApiException TooManyReaders(TooManyReadersException error) => new(
        HttpStatusCode.TooManyRequests, error.Message, code: "too_many_readers", retryAfter: options.RetryAfter);

    private static int? LastSeen(HttpContext http)
    {
        var value = http.Request.Headers["Last-Event-ID"].ToString();
        if (value.Length == 0) return null;
        return int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var index)
            ? index
            : throw new ApiException(
                HttpStatusCode.BadRequest,
                $"Header Last-Event-ID must be the id of an event, an integer of 0 or more; " +
                $"it is {RequestFields.Shorten(value)}.");
    }

    private static ApiException Unknown(string id) => new(
        HttpStatusCode.NotFound,
        $"Request {id} is unknown: it was never accepted, or it ended long ago and was forgotten.",
        code: "request_unknown");
}
