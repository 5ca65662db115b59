using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Api;

/// <summary>Reads the JSON body of a request: one way for all paths, so that all have the same limits.</summary>
internal static class JsonBody
{
    private const int DepthMax = 16;

    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <summary>The body, an object. The edge has bounded its size already.</summary>
    /// <exception cref="ApiException">415 when it is not sent as JSON, 400 when it is none, or no object.</exception>
    public static async Task<JsonDocument> ReadAsync(HttpContext http)
    {
        CheckHeaders(http.Request);
        using var bytes = new MemoryStream();
        await http.Request.Body.CopyToAsync(bytes, http.RequestAborted).ConfigureAwait(false);
        return Parse(bytes.ToArray());
    }

    /// <summary>For paths that take no body: none, or an empty object.</summary>
    /// <exception cref="ApiException">415 or 400, as above, or 400 because there is something in it.</exception>
    public static async Task CheckEmptyAsync(HttpContext http)
    {
        var request = http.Request;
        if (request.ContentLength is null or 0 && request.Headers.TransferEncoding.Count == 0) return;
        using var body = await ReadAsync(http).ConfigureAwait(false);
        foreach (var member in body.RootElement.EnumerateObject())
            throw ApiException.BadField(RequestFields.NameOf(member), "is not known: this path takes no body.");
    }

    private static void CheckHeaders(HttpRequest request)
    {
        var encoding = request.Headers.ContentEncoding.ToString();
        if (encoding.Length > 0 && !encoding.Equals("identity", StringComparison.OrdinalIgnoreCase))
        {
            request.HttpContext.Response.Headers.AcceptEncoding = "identity";
            throw Unsupported($"Content-Encoding {RequestFields.Shorten(encoding)} is not read here. Send plain JSON.");
        }

        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !IsJson(type.MediaType))
        {
            var sent = string.IsNullOrEmpty(request.ContentType)
                ? "none was sent"
                : $"it is {RequestFields.Shorten(request.ContentType)}";
            throw Unsupported($"The Content-Type must be application/json; {sent}.");
        }

        var charset = type.CharSet?.Trim('"');
        if (charset is not null && !charset.Equals("utf-8", StringComparison.OrdinalIgnoreCase)
            && !charset.Equals("us-ascii", StringComparison.OrdinalIgnoreCase))
        {
            throw Unsupported($"JSON is UTF-8; the charset {RequestFields.Shorten(charset)} is not read here.");
        }
    }

    private static bool IsJson(string? type) => type is not null
        && (type.Equals("application/json", StringComparison.OrdinalIgnoreCase)
            || (type.StartsWith("application/", StringComparison.OrdinalIgnoreCase)
                && type.EndsWith("+json", StringComparison.OrdinalIgnoreCase)));

    private static ApiException Unsupported(string message) =>
        new(HttpStatusCode.UnsupportedMediaType, message, code: "unsupported_media_type");

    private static JsonDocument Parse(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Span.StartsWith(ByteOrderMark)) bytes = bytes[ByteOrderMark.Length..];
        JsonDocument body;
        try
        {
            body = JsonTexts.Parse(
                bytes, new JsonDocumentOptions { MaxDepth = DepthMax, AllowDuplicateProperties = false });
        }
        catch (JsonException error)
        {
            throw Malformed(error.Message.TrimEnd('.'));
        }

        if (body.RootElement.ValueKind == JsonValueKind.Object) return body;
        body.Dispose();
        throw new ApiException(HttpStatusCode.BadRequest, "The body must be a JSON object.", code: "invalid_json");
    }

    private static ApiException Malformed(string why) =>
        new(HttpStatusCode.BadRequest, $"The body is no valid JSON: {why}.", code: "invalid_json");
}
