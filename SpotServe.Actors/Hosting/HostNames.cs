using System.Globalization;
using System.Net;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// Names of machines as operators give them. Members of a cluster know each other by the very text of an address, so
/// one machine must have one spelling everywhere.
/// </summary>
public static class HostNames
{
    private const string Loopback = "127.0.0.1";

    /// <summary>A host that others reach a process by: "localhost" becomes 127.0.0.1.</summary>
    /// <returns>The host, or a refusal that says what to give instead.</returns>
    public static (string? Host, string? Refusal) Own(string option, string host)
    {
        if (host.Length == 0) return (null, $"{option} is empty; give the address that others reach this machine by.");
        if (host is "*" or "+" || (IPAddress.TryParse(host, out var address) && IsWildcard(address)))
        {
            return (null, $"{option} {host} is no address that others can reach. Give the one of this machine that " +
                "clients and nodes use, e.g. 10.0.0.1; for this machine alone, 127.0.0.1.");
        }

        return (Of(host), null);
    }

    /// <summary>"HOST:PORT" of another process, in the spelling that it has for itself.</summary>
    /// <returns>The endpoint, or a refusal.</returns>
    public static (string? Endpoint, string? Refusal) Peer(string option, string text)
    {
        var colon = text.LastIndexOf(':');
        if (colon <= 0 || text.AsSpan(0, colon).ContainsAny(" /@[]")
            || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            || port == 0)
        {
            return (null, $"{option} {text} is not HOST:PORT, e.g. 10.0.0.1:5110.");
        }

        var (host, refusal) = Own(option, text[..colon]);
        return host is null ? (null, refusal) : (string.Create(CultureInfo.InvariantCulture, $"{host}:{port}"), null);
    }

    private static string Of(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase) ? Loopback : host;

    private static bool IsWildcard(IPAddress address) =>
        address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);
}
