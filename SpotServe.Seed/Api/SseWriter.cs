using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace SpotServe.Seed.Api;

/// <summary>
/// Server-sent events onto a response. Nothing is buffered beyond Kestrel's own bounded pipe: a slow reader makes
/// <see cref="FlushAsync"/> wait, and one slower than Kestrel's minimum rate is disconnected. An event is one line,
/// "data: ...", unless the client said that it reads server-sent events: benchmarks take every line for data
/// (docs/adr/0076).
/// </summary>
internal sealed class SseWriter(HttpContext http)
{
    private readonly HttpResponse _response = http.Response;
    private readonly PipeWriter _pipe = http.Response.BodyWriter;
    private readonly bool _hasFields = IsAskedFor(http.Request);

    /// <summary>Whether the client says that it reads server-sent events, whatever fields they have.</summary>
    public static bool IsAskedFor(HttpRequest request) =>
        request.Headers.ContainsKey("Last-Event-ID")
        || request.Headers.Accept.ToString().Contains("text/event-stream", StringComparison.OrdinalIgnoreCase);

    /// <summary>Sends the headers; from here on errors are events.</summary>
    public async Task StartAsync(CancellationToken cancel)
    {
        SetHeaders(_response);
        await _response.StartAsync(cancel).ConfigureAwait(false);
        // Kestrel would else keep the headers until there is something to send with them.
        await FlushAsync(cancel).ConfigureAwait(false);
    }

    public static void SetHeaders(HttpResponse response)
    {
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache";
        // Proxies such as nginx would else collect the events.
        response.Headers["X-Accel-Buffering"] = "no";
    }

    /// <summary>Adds an event; sent with the next <see cref="FlushAsync"/>.</summary>
    /// <param name="id">What a client gives as Last-Event-ID to go on after this event; left out for one that does not
    /// ask for fields, as is the name.</param>
    public void Add<T>(T data, JsonTypeInfo<T> type, int? id = null, string? name = null)
    {
        if (name is not null && _hasFields) Text($"event: {name}\n");
        if (id is { } number && _hasFields) Text(string.Create(CultureInfo.InvariantCulture, $"id: {number}\n"));
        Text("data: ");
        using (var json = new Utf8JsonWriter(
            _pipe, new JsonWriterOptions { Encoder = type.Options.Encoder, SkipValidation = true }))
        {
            JsonSerializer.Serialize(json, data, type);
        }

        Text("\n\n");
    }

    public void AddDone() => Text("data: [DONE]\n\n");

    public async ValueTask FlushAsync(CancellationToken cancel) =>
        await _pipe.FlushAsync(cancel).ConfigureAwait(false);

    private void Text(string text) => Encoding.UTF8.GetBytes(text, _pipe);
}
