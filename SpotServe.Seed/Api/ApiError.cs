using System.Globalization;
using System.Net;

namespace SpotServe.Seed.Api;

/// <summary>An answer other than success, in OpenAI's form. Thrown while a request is read, written at the
/// edge.</summary>
/// <param name="param">The field at fault, if one is.</param>
internal sealed class ApiException(
    HttpStatusCode status, string message, string? param = null, string? code = null, TimeSpan? retryAfter = null)
    : Exception(message)
{
    public HttpStatusCode Status { get; } = status;

    public TimeSpan? RetryAfter { get; } = retryAfter;

    /// <summary>Whether it would be the same again: OpenAI's clients, which repeat some answers by themselves, are told
    /// not to.</summary>
    public bool IsFinal { get; init; }

    /// <summary>Where a person's browser is sent instead of being shown an error; null for programs.</summary>
    public string? LoginPage { get; init; }

    public ErrorEnvelope Body => new(new ErrorBody(Message, TypeOf(Status), param, code));

    public static ApiException BadField(string field, string problem) =>
        new(HttpStatusCode.BadRequest, $"\"{field}\" {problem}", field, "invalid_value");

    public static ApiException ModelNotFound(string asked, string served) => new(
        HttpStatusCode.NotFound,
        $"The model \"{RequestFields.Shorten(asked)}\" is not served here; \"{served}\" is.",
        "model",
        "model_not_found");

    public async Task WriteAsync(HttpContext http)
    {
        if (LoginPage is { } page)
        {
            http.Response.Redirect(page);
            return;
        }

        http.Response.StatusCode = (int)Status;
        if (IsFinal) http.Response.Headers["X-Should-Retry"] = "false";
        if (RetryAfter is { } wait)
        {
            var seconds = Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds));
            http.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        }

        await http.Response.WriteAsJsonAsync(Body, ApiJson.Plain.ErrorEnvelope, cancellationToken: http.RequestAborted)
            .ConfigureAwait(false);
    }

    private static string TypeOf(HttpStatusCode status) => status switch
    {
        HttpStatusCode.TooManyRequests => "rate_limit_error",
        HttpStatusCode.RequestTimeout => "timeout_error",
        HttpStatusCode.Unauthorized => "authentication_error",
        HttpStatusCode.Forbidden => "permission_error",
        >= HttpStatusCode.InternalServerError => "server_error",
        _ => "invalid_request_error",
    };
}
