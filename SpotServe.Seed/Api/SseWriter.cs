using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace SpotServe.Seed.Api;

/// <summary>
/// Server-sent events onto a response. Nothing is buffered beyond Kestrel's own bounded pipe: a slow reader makes
/// <see cref="FlushAsync"/> wait, and one slower than Kestrel's minimum rate is disconnected.
/// </summary>
internal sealed class SseWriter(HttpResponse response)
{
    private readonly PipeWriter _pipe = response.BodyWriter;

    /// <summary>Sends the headers; from here on errors are events.</summary>
    public async Task StartAsync(CancellationToken cancel)
    {
        SetHeaders(response);
        await response.StartAsync(cancel).ConfigureAwait(false);
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
    /// <param name="id">What a client gives as Last-Event-ID to go on after this event.</param>
    public void Add<T>(T data, JsonTypeInfo<T> type, int? id = null, string? name = null)
    {
        if (name is not null) Text($"event: {name}\n");
        if (id is { } number) Text(string.Create(CultureInfo.InvariantCulture, $"id: {number}\n"));
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
