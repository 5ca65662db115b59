using System.Globalization;
using System.Net;
using System.Text;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Requests;

namespace SpotServe.Seed.Api;

/// <summary>GET /v1/requests/{id}: a request read again, as its text so far or as a stream from Last-Event-ID
/// on.</summary>
internal sealed class RequestEndpoints(
    IGenerationClient cluster,
    CompletionReader reader,
    CompletionResponse response,
    ApiOptions options,
    TimeProvider time)
{
    /// <summary>Once tokens have come, the rest that is there comes at once; so a short pause means that this is
    /// all.</summary>
    private static readonly TimeSpan PauseMax = TimeSpan.FromMilliseconds(100);

    private const int IdCharsMax = 128;

    public async Task GetAsync(HttpContext http, string id)
    {
        if (id.Length > IdCharsMax) throw Unknown(id[..IdCharsMax]);
        var request = new RequestId(id);
        try
        {
            var lastSeen = LastSeen(http);
            var notes = await cluster.DescribeAsync(request, http.RequestAborted).ConfigureAwait(false);
            if (WantsStream(http))
            {
                await response.StreamAsync(http, request, notes, lastSeen, includeUsage: false).ConfigureAwait(false);
            }
            else
            {
                var body = await SnapshotAsync(request, notes, http.RequestAborted).ConfigureAwait(false);
                await http.Response
                    .WriteAsJsonAsync(body, ApiJson.Plain.RequestBody, cancellationToken: http.RequestAborted)
                    .ConfigureAwait(false);
            }
        }
        catch (RequestUnknownException)
        {
            throw Unknown(id);
        }
        catch (RequestSilentException error)
        {
            throw new ApiException(
                HttpStatusCode.ServiceUnavailable, error.Message, code: "request_silent",
                retryAfter: options.RetryAfter);
        }
    }

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

    private static bool WantsStream(HttpContext http) =>
        http.Request.Headers.ContainsKey("Last-Event-ID")
        || http.Request.Headers.Accept.ToString().Contains("text/event-stream", StringComparison.OrdinalIgnoreCase);

    private static int LastSeen(HttpContext http)
    {
        var value = http.Request.Headers["Last-Event-ID"].ToString();
        if (value.Length == 0) return -1;
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
