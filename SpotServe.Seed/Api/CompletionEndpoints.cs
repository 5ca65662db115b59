using System.Globalization;
using System.Net;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Api;

/// <summary>POST /v1/completions and /v1/chat/completions: read, submit to the cluster, answer. The paths differ in how
/// the prompt is read and in the form of the answer.</summary>
internal sealed class CompletionEndpoints(
    IGenerationClient cluster,
    IGenerationRequestReader reader,
    CompletionForm form,
    CompletionResponse response,
    OpenResponses open)
{
    /// <summary>"true" lets a request go on when its client disconnects.</summary>
    public const string DetachHeader = "X-SpotServe-Detach";

    /// <summary>The request's id, for GET /v1/requests/{id}.</summary>
    public const string IdHeader = "X-Request-Id";

    /// <summary>Names the fields of a request that are not known here and changed nothing.</summary>
    public const string IgnoredHeader = "X-SpotServe-Ignored-Fields";

    public async Task PostAsync(HttpContext http)
    {
        var detached = IsDetached(http);
        var request = await ReadAsync(http).ConfigureAwait(false);
        using var place = open.Enter();
        await AnswerAsync(http, request, detached).ConfigureAwait(false);
    }

    private async Task AnswerAsync(HttpContext http, CompletionRequest request, bool detached)
    {
        // Not cancelled by the client's leaving: whether it was accepted must be known, to cancel it then.
        var admission = await cluster.SubmitAsync(request.Spec, CancellationToken.None).ConfigureAwait(false);
        var (id, at) = Accepted(admission);
        var notes = RequestDescription.Of(at, request.Spec);
        http.Response.Headers[IdHeader] = id.Value;
        try
        {
            if (request.Stream)
            {
                await response.StreamAsync(http, id, notes, form, lastSeen: -1, request.IncludeUsage)
                    .ConfigureAwait(false);
            }
            else
            {
                await response.WriteAsync(http, id, notes, form).ConfigureAwait(false);
            }
        }
        finally
        {
            // Harmless when it has ended. A server that stops or falls silent is no reason: the client may come back.
            if (!detached && http.RequestAborted.IsCancellationRequested) cluster.Cancel(id);
        }
    }

    private async Task<CompletionRequest> ReadAsync(HttpContext http)
    {
        using var body = await JsonBody.ReadAsync(http).ConfigureAwait(false);
        var request = reader.Read(body.RootElement, cluster.Status.ContextMax);
        if (!request.Ignored.IsEmpty) http.Response.Headers[IgnoredHeader] = string.Join(", ", request.Ignored);
        return request;
    }

    private static Admission.Accepted Accepted(Admission admission) => admission switch
    {
        Admission.Accepted accepted => accepted,
        Admission.Busy busy => throw new ApiException(
            HttpStatusCode.TooManyRequests, busy.Reason, code: "busy", retryAfter: busy.RetryAfter),
        Admission.Unavailable unavailable => throw new ApiException(
            HttpStatusCode.ServiceUnavailable,
            unavailable.Reason,
            code: "unavailable",
            retryAfter: unavailable.RetryAfter),
        Admission.Refused refused => throw new ApiException(
            HttpStatusCode.BadRequest, refused.Reason, code: "refused"),
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    private static bool IsDetached(HttpContext http)
    {
        var value = http.Request.Headers[DetachHeader].ToString();
        return value.ToLower(CultureInfo.InvariantCulture) switch
        {
            "" or "false" => false,
            "true" => true,
            _ => throw new ApiException(
                HttpStatusCode.BadRequest,
                $"Header {DetachHeader} must be true or false; it is {RequestFields.Shorten(value)}."),
        };
    }
}
