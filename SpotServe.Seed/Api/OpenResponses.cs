using System.Net;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Api;

/// <summary>Counts the responses that carry a request's tokens, so that they stay within a bound, and each client
/// within its share of it (<see cref="FairShare"/>). Thread-safe.</summary>
internal sealed class OpenResponses(ApiOptions options)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _clients = [];
    private int _count;

    /// <summary>Takes a place until the result is disposed.</summary>
    /// <exception cref="ApiException">429: none is left, or none for this client.</exception>
    public IDisposable Enter(ApiClient client)
    {
        lock (_lock)
        {
            var its = _clients.GetValueOrDefault(client.Name);
            if (_count >= options.OpenResponsesMax) throw Full("responses are open, which is the limit.");
            if (!FairShare.Allows(its, _count, options.OpenResponsesMax))
                throw Full($"responses may be open, of which you have {its}; the rest is for other clients.");
            _count++;
            _clients[client.Name] = its + 1;
        }

        return new Place(this, client.Name);
    }

    private ApiException Full(string why) => new(
        HttpStatusCode.TooManyRequests,
        $"{options.OpenResponsesMax} {why} Try again later.",
        code: "too_many_responses",
        retryAfter: options.RetryAfter);

    private void Leave(string client)
    {
        lock (_lock)
        {
            _count--;
            if (--_clients[client] == 0) _clients.Remove(client);
        }
    }

    private sealed class Place(OpenResponses open, string client) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0) open.Leave(client);
        }
    }
}
