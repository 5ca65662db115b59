using System.Net;
using System.Net.Http.Headers;

namespace SpotServe.Node.Preemption.Clouds;

/// <summary>An answer of a metadata service.</summary>
/// <param name="Body">At most <see cref="MetadataService.BodyBytesMax"/> bytes.</param>
/// <param name="ClockAhead">By how much the cloud's clock is ahead of this machine's, by the Date header; zero without
/// one. A deadline is told in the cloud's time.</param>
internal sealed record MetadataAnswer(
    HttpStatusCode Status, string Body, HttpResponseHeaders Headers, TimeSpan ClockAhead)
{
    /// <summary>A header as it was sent (Google's ETag has no quotes, so it is none to .NET); null without
    /// one.</summary>
    public string? Header(string name) =>
        Headers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : null;

    /// <exception cref="MetadataException">The service did not answer with success.</exception>
    public MetadataAnswer Succeeded() => (int)Status is >= 200 and < 300
        ? this
        : throw new MetadataException($"it answered {(int)Status}") { RetryAfter = Headers.RetryAfter?.Delta };
}

/// <summary>A metadata service answered, and not as its protocol says.</summary>
internal sealed class MetadataException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>When the service wants to be asked again; null when it does not say.</summary>
    public TimeSpan? RetryAfter { get; init; }
}

/// <summary>
/// The HTTP server at which a cloud tells a machine about itself. It is asked without proxy and without redirects:
/// only the machine's own host may answer. Every answer has a limit in time and size.
/// </summary>
internal sealed class MetadataService : IDisposable
{
    /// <summary>Longest answer that is read.</summary>
    public const int BodyBytesMax = 64 << 10;

    /// <summary>A difference of clocks below it is the resolution of the Date header, not a difference.</summary>
    private static readonly TimeSpan ClockDifferenceMin = TimeSpan.FromSeconds(2);

    private readonly HttpClient _http;
    private readonly TimeProvider _clock;

    /// <param name="address">Root of the service, for example http://169.254.169.254/.</param>
    public MetadataService(Uri address, TimeProvider clock)
    {
        _clock = clock;
        _http = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            AllowAutoRedirect = false,
            UseCookies = false,
            ConnectTimeout = TimeSpan.FromSeconds(1),
            // A service that was restarted, or an address that moved, is found again.
            PooledConnectionLifetime = TimeSpan.FromMinutes(1),
        })
        {
            BaseAddress = address,
            MaxResponseContentBufferSize = BodyBytesMax,
            Timeout = Timeout.InfiniteTimeSpan,   // Each question has a limit of its own.
        };
    }

    /// <summary>Asks, and reads the whole answer.</summary>
    /// <param name="most">Limit for all of it.</param>
    /// <exception cref="HttpRequestException">Nobody answers, or with more than is read.</exception>
    /// <exception cref="TimeoutException">No answer in time.</exception>
    public async Task<MetadataAnswer> AskAsync(HttpRequestMessage question, TimeSpan most, CancellationToken cancel)
    {
        using var limit = new CancellationTokenSource(most, _clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancel);
        try
        {
            using var answer = await _http.SendAsync(question, both.Token).ConfigureAwait(false);
            var body = await answer.Content.ReadAsStringAsync(both.Token).ConfigureAwait(false);
            return new MetadataAnswer(answer.StatusCode, body, answer.Headers, ClockAhead(answer));
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new TimeoutException($"{question.RequestUri} did not answer within {most.TotalSeconds:0.#} s");
        }
        catch (InvalidOperationException error)
        {
            // A character set that .NET does not know, for example.
            throw new HttpRequestException($"{question.RequestUri} answered what cannot be read", error);
        }
    }

    public void Dispose() => _http.Dispose();

    private TimeSpan ClockAhead(HttpResponseMessage answer)
    {
        if (answer.Headers.Date is not { } date) return TimeSpan.Zero;
        var ahead = date - _clock.GetUtcNow();
        return ahead.Duration() < ClockDifferenceMin ? TimeSpan.Zero : ahead;
    }
}
