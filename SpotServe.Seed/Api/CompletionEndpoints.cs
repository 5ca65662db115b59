using System.Collections.Immutable;
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
    OpenResponses open,
    ApiOptions options,
    TimeProvider time)
{
    /// <summary>"true" lets a request go on when its client disconnects.</summary>
    public const string DetachHeader = "X-SpotServe-Detach";

    /// <summary>The client's own id where it sends one, else that of <see cref="OwnIdHeader"/>.</summary>
    public const string IdHeader = "X-Request-Id";

    /// <summary>The request's id, for GET /v1/requests/{id}; one for each completion that is generated.</summary>
    public const string OwnIdHeader = "X-SpotServe-Request-Id";

    /// <summary>Seconds that a request gives itself, where its body has no "timeout".</summary>
    public const string TimeoutHeader = "X-SpotServe-Timeout";

    private const int IdCharsMax = 128;

    /// <summary>Names the fields of a request that are not known here and changed nothing.</summary>
    public const string IgnoredHeader = "X-SpotServe-Ignored-Fields";

    public async Task PostAsync(HttpContext http)
    {
        var came = time.GetUtcNow();
        EchoId(http);
        var detached = IsDetached(http);
        var asked = TimeoutOf(http);
        var request = await ReadAsync(http).ConfigureAwait(false);
        var deadline = came + (request.Timeout ?? asked ?? options.RequestTimeout);
        using var place = open.Enter(ApiClient.Of(http));
        await AnswerAsync(http, request, deadline, detached).ConfigureAwait(false);
    }

    private async Task AnswerAsync(
        HttpContext http, CompletionRequest request, DateTimeOffset deadline, bool detached)
    {
        var candidates = await SubmitAsync(request, ApiClient.Of(http), deadline).ConfigureAwait(false);
        http.Response.Headers[OwnIdHeader] = string.Join(", ", candidates.Select(one => one.Id.Value));
        if (!http.Response.Headers.ContainsKey(IdHeader)) http.Response.Headers[IdHeader] = candidates[0].Id.Value;
        var answer = new Answer(candidates, request.CandidatesEach, request.ChoicesEach, form, request.Usage)
        {
            ShowsLogprobs = request.ShowsLogprobs,
        };
        try
        {
            if (request.Stream) await response.StreamAsync(http, answer, lastSeen: null).ConfigureAwait(false);
            else await response.WriteAsync(http, answer).ConfigureAwait(false);
        }
        finally
        {
            // Harmless when it has ended. A server that stops or falls silent is no reason: the client may come back.
            // To several at once it cannot come back, so they end with the first that fails.
            var isGone = !detached && http.RequestAborted.IsCancellationRequested;
            if (isGone || (!detached && !answer.IsResumable)) CancelAll(candidates);
        }
    }

    /// <summary>Has all of them accepted, or none.</summary>
    private async Task<ImmutableArray<OpenChoice>> SubmitAsync(
        CompletionRequest request, ApiClient client, DateTimeOffset deadline)
    {
        var open = ImmutableArray.CreateBuilder<OpenChoice>();
        try
        {
            foreach (var (spec, echo) in request.Candidates())
            {
                // Not cancelled by the client's leaving: whether it was accepted must be known, to cancel it then.
                var asked = spec with { Standing = client.StandingOf(spec.Standing), Deadline = deadline };
                var admission = await cluster.SubmitAsync(asked, CancellationToken.None).ConfigureAwait(false);
                var (id, at) = Accepted(admission);
                open.Add(new OpenChoice(open.Count, id, RequestDescription.Of(at, spec), echo)
                {
                    ScoredPrompt = spec.Parameters.PromptLogprobs is null ? [] : spec.Prompt,
                    ShowsGenerated = request.ShowsGenerated,
                });
            }
        }
        catch
        {
            CancelAll(open);
            throw;
        }

        return open.ToImmutable();
    }

    private void CancelAll(IEnumerable<OpenChoice> choices)
    {
        foreach (var choice in choices) cluster.Cancel(choice.Id);
    }

    /// <summary>A client's own id comes back to it.</summary>
    private static void EchoId(HttpContext http)
    {
        var id = http.Request.Headers[IdHeader].ToString();
        if (id.Length is > 0 and <= IdCharsMax && id.All(c => char.IsAsciiLetterOrDigit(c) || "-_.:".Contains(c)))
            http.Response.Headers[IdHeader] = id;
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

    private TimeSpan? TimeoutOf(HttpContext http)
    {
        var value = http.Request.Headers[TimeoutHeader].ToString();
        if (value.Length == 0) return null;
        var max = options.RequestTimeout.TotalSeconds;
        return double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds)
            && seconds >= Math.Min(max, GenerationFields.TimeoutMin) && seconds <= max
            ? TimeSpan.FromSeconds(seconds)
            : throw new ApiException(
                HttpStatusCode.BadRequest,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Header {TimeoutHeader} must be a number of seconds, {GenerationFields.TimeoutMin} to {max}; " +
                    $"it is {RequestFields.Shorten(value)}."));
    }

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
