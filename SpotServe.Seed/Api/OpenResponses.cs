using System.Net;

namespace SpotServe.Seed.Api;

/// <summary>Counts the responses that carry a request's tokens, so that they stay within a bound.
/// Thread-safe.</summary>
internal sealed class OpenResponses(ApiOptions options)
{
    private int _count;

    /// <summary>Takes a place until the result is disposed.</summary>
    /// <exception cref="ApiException">429: none is left.</exception>
    public IDisposable Enter()
    {
        if (Interlocked.Increment(ref _count) <= options.OpenResponsesMax) return new Place(this);
        Interlocked.Decrement(ref _count);
        throw new ApiException(
            HttpStatusCode.TooManyRequests,
            $"{options.OpenResponsesMax} responses are open, which is the limit. Try again later.",
            code: "too_many_responses",
            retryAfter: options.RetryAfter);
    }

    private sealed class Place(OpenResponses open) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0) Interlocked.Decrement(ref open._count);
        }
    }
}
