using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Http.Features;

namespace SpotServe.Seed.Api;

/// <summary>
/// What every request passes on its way in and every answer on its way out, whatever its path: who may ask, how large a
/// body may be, and what goes wrong becomes an answer in OpenAI's form here and nowhere else.
/// </summary>
internal sealed partial class ApiEdge(AccessPolicy access, ApiOptions options, ILogger<ApiEdge> log)
{
    public async Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        try
        {
            access.Check(http);
            if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
                limit.MaxRequestBodySize = options.BodyBytesMax;
            await next(http).ConfigureAwait(false);
            if (!http.Response.HasStarted) await CompleteAsync(http).ConfigureAwait(false);
        }
        catch (ApiException error) when (!http.Response.HasStarted)
        {
            await error.WriteAsync(http).ConfigureAwait(false);
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            // The client is gone; there is nobody to tell.
        }
        catch (BadHttpRequestException error) when (!http.Response.HasStarted)
        {
            await Of(error).WriteAsync(http).ConfigureAwait(false);
        }
        catch (Exception error) when (!http.Response.HasStarted)
        {
            LogFailed(log, http.Request.Method, http.Request.Path, error);
            var answer = new ApiException(
                HttpStatusCode.InternalServerError, "This server failed; its log says why.", code: "internal_error");
            await answer.WriteAsync(http).ConfigureAwait(false);
        }
    }

    /// <summary>Routing answers with a bare status where no handler is found.</summary>
    private static async Task CompleteAsync(HttpContext http)
    {
        var request = http.Request;
        switch (http.Response.StatusCode)
        {
            case StatusCodes.Status405MethodNotAllowed:
                var allowed = string.Join(", ", http.Response.Headers.Allow.Append(HttpMethods.Options));
                http.Response.Headers.Allow = allowed;
                if (HttpMethods.IsOptions(request.Method))
                {
                    http.Response.StatusCode = StatusCodes.Status204NoContent;
                    return;
                }

                await new ApiException(
                    HttpStatusCode.MethodNotAllowed,
                    $"{request.Path} takes {allowed}, not {RequestFields.Shorten(request.Method)}.",
                    code: "method_not_allowed").WriteAsync(http).ConfigureAwait(false);
                return;
            case StatusCodes.Status404NotFound when http.GetEndpoint() is null:
                await new ApiException(
                    HttpStatusCode.NotFound,
                    $"There is no {RequestFields.Shorten(request.Method)} {RequestFields.Shorten(request.Path)}. " +
                    "GET / lists what there is.",
                    code: "not_found").WriteAsync(http).ConfigureAwait(false);
                return;
        }
    }

    private ApiException Of(BadHttpRequestException error) => error.StatusCode switch
    {
        StatusCodes.Status413PayloadTooLarge => new ApiException(
            HttpStatusCode.RequestEntityTooLarge,
            string.Create(
                CultureInfo.InvariantCulture,
                $"The body has more than {options.BodyBytesMax:N0} bytes, which is the limit. Shorten it."),
            code: "body_too_large"),
        _ => new ApiException((HttpStatusCode)error.StatusCode, error.Message, code: "bad_request"),
    };

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} {Path} failed")]
    private static partial void LogFailed(ILogger log, string method, string path, Exception error);
}
