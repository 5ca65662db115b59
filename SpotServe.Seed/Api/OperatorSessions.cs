using System.Security.Cryptography;

namespace SpotServe.Seed.Api;

/// <summary>
/// Browsers whose operator has given the admin key. The cookie is a random name, never the key, and ends with this
/// process, after half a day, or when many newer ones have come. Thread-safe.
/// </summary>
internal sealed class OperatorSessions(TimeProvider clock)
{
    public const string Cookie = "spotserve-operator";

    private const int SessionsMax = 64;
    private const int NameBytes = 32;
    private static readonly TimeSpan Life = TimeSpan.FromHours(12);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, DateTimeOffset> _sessions = [];

    /// <summary>Lets this browser in from its next request on.</summary>
    public void Begin(HttpContext http)
    {
        var name = Convert.ToHexString(RandomNumberGenerator.GetBytes(NameBytes));
        lock (_lock)
        {
            var now = clock.GetUtcNow();
            foreach (var (old, at) in _sessions.ToArray())
            {
                if (now - at > Life) _sessions.Remove(old);
            }

            if (_sessions.Count >= SessionsMax) _sessions.Remove(_sessions.MinBy(session => session.Value).Key);
            _sessions.Add(name, now);
        }

        http.Response.Cookies.Append(Cookie, name, new CookieOptions
        {
            HttpOnly = true,
            SameSite = SameSiteMode.Strict,
            Secure = http.Request.IsHttps,
            MaxAge = Life,
        });
    }

    public bool Has(HttpContext http)
    {
        if (!http.Request.Cookies.TryGetValue(Cookie, out var name)) return false;
        lock (_lock) return _sessions.TryGetValue(name, out var at) && clock.GetUtcNow() - at <= Life;
    }
}
