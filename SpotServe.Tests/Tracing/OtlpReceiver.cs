using System.Collections.Concurrent;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Xunit;

namespace SpotServe.Tests.Tracing;

/// <param name="Service">What sent it.</param>
/// <param name="Parent">Id of the span that it is part of; empty for a trace's first.</param>
internal sealed record ReceivedSpan(
    string Service, string Trace, string Id, string Parent, string Name, IReadOnlyDictionary<string, string> Tags);

/// <summary>A collector of OpenTelemetry's protocol over HTTP that keeps what it is sent. It reads the few fields that
/// tests look at of the protocol's messages (opentelemetry-proto: collector/trace/v1, collector/metrics/v1).</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentQueue<ReceivedSpan> _spans = [];
    private readonly ConcurrentDictionary<string, bool> _metrics = [];
    private readonly SemaphoreSlim _came = new(0);

    private OtlpReceiver(WebApplication app)
    {
        _app = app;
        app.MapPost("/v1/traces", http => TakeAsync(http, ReadSpans));
        app.MapPost("/v1/metrics", http => TakeAsync(http, ReadMetrics));
    }

    public Uri Address => new(_app.Urls.Single());

    /// <summary>Names of the metrics that came.</summary>
    public IEnumerable<string> Metrics => _metrics.Keys;

    public static async Task<OtlpReceiver> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var receiver = new OtlpReceiver(builder.Build());
        await receiver._app.StartAsync(TestContext.Current.CancellationToken);
        return receiver;
    }

    /// <summary>The spans of a trace, once so many have come.</summary>
    public async Task<ReceivedSpan[]> OfTraceAsync(string trace, int count)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(Waits.Max);
        while (true)
        {
            ReceivedSpan[] found = [.. _spans.Where(span => span.Trace == trace)];
            if (found.Length >= count) return found;
            await _came.WaitAsync(limit.Token);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _came.Dispose();
    }

    private async Task TakeAsync(HttpContext http, Action<ReadOnlyMemory<byte>> read)
    {
        using var body = new MemoryStream();
        await http.Request.Body.CopyToAsync(body, http.RequestAborted);
        read(body.ToArray());
        http.Response.ContentType = "application/x-protobuf";
        _came.Release();
    }

    private void ReadSpans(ReadOnlyMemory<byte> request)
    {
        foreach (var ofResource in Parts(request, 1))
        {
            var tags = Parts(ofResource, 1).SelectMany(TagsOf);
            var service = tags.FirstOrDefault(tag => tag.Key == "service.name").Value;
            foreach (var span in Parts(ofResource, 2).SelectMany(scope => Parts(scope, 2)))
            {
                _spans.Enqueue(new ReceivedSpan(
                    service, Hex(span, 1), Hex(span, 2), Hex(span, 4), Text(span, 5),
                    Parts(span, 9).Select(Tag).ToDictionary()));
            }
        }

        static IEnumerable<KeyValuePair<string, string>> TagsOf(ReadOnlyMemory<byte> resource) =>
            Parts(resource, 1).Select(Tag);
    }

    private void ReadMetrics(ReadOnlyMemory<byte> request)
    {
        foreach (var metric in Parts(request, 1).SelectMany(one => Parts(one, 2)).SelectMany(one => Parts(one, 2)))
            _metrics[Text(metric, 1)] = true;
    }

    private static KeyValuePair<string, string> Tag(ReadOnlyMemory<byte> pair)
    {
        var value = Parts(pair, 2).Single();
        var number = Fields(value).FirstOrDefault(field => field.Number == 3);
        return KeyValuePair.Create(Text(pair, 1), number.Number == 3 ? $"{number.Value}" : Text(value, 1));
    }

    private static string Text(ReadOnlyMemory<byte> message, int number) =>
        Encoding.UTF8.GetString(Parts(message, number).FirstOrDefault().Span);

    private static string Hex(ReadOnlyMemory<byte> message, int number) =>
        Convert.ToHexStringLower(Parts(message, number).FirstOrDefault().Span);

    private static IEnumerable<ReadOnlyMemory<byte>> Parts(ReadOnlyMemory<byte> message, int number) =>
        Fields(message).Where(field => field.Number == number).Select(field => field.Bytes);

    /// <summary>A message's fields as protobuf has them: a number and a type, then a varint, 8 bytes, 4 bytes, or a
    /// length and as many bytes.</summary>
    private static List<(int Number, ulong Value, ReadOnlyMemory<byte> Bytes)> Fields(ReadOnlyMemory<byte> message)
    {
        var fields = new List<(int, ulong, ReadOnlyMemory<byte>)>();
        while (!message.IsEmpty)
        {
            var key = Varint(ref message);
            var value = (key & 7) is 0 or 2 ? Varint(ref message) : 0;
            var length = (key & 7) switch
            {
                0 => 0,
                1 => 8,
                2 => (int)value,
                5 => 4,
                var type => throw new FormatException($"There is no wire type {type}."),
            };
            fields.Add(((int)(key >> 3), value, message[..length]));
            message = message[length..];
        }

        return fields;
    }

    private static ulong Varint(ref ReadOnlyMemory<byte> bytes)
    {
        var value = 0ul;
        for (var (i, shift) = (0, 0); ; i++, shift += 7)
        {
            value |= (bytes.Span[i] & 0x7Ful) << shift;
            if (bytes.Span[i] >= 0x80) continue;
            bytes = bytes[(i + 1)..];
            return value;
        }
    }
}
