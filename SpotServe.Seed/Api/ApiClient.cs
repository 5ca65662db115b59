using System.Net;
using System.Net.Sockets;

namespace SpotServe.Seed.Api;

/// <summary>Who asks, as far as this server can tell: whose key was sent, else the address that the request came from.
/// Clients share what there is by it.</summary>
/// <param name="Name">Different for a key and an address, whatever keys are called.</param>
internal sealed record ApiClient(string Name)
{
    public int Weight { get; init; } = 1;

    /// <summary>Lowest, hence soonest, priority that it may ask for.</summary>
    public int PriorityMin { get; init; } = -Standing.PriorityMax;

    private const int NetworkBytes = 8;

    /// <summary>Who sent a request. Known once <see cref="AccessPolicy.Check"/> has let it in.</summary>
    public static ApiClient Of(HttpContext http) =>
        http.Features.Get<ApiClient>() ?? OfAddress(http.Connection.RemoteIpAddress);

    public static ApiClient OfKey(ApiKey key) => new($"key {key.Name}")
    {
        Weight = key.Weight,
        PriorityMin = key.PriorityMin,
    };

    /// <summary>How a request of this client stands among others.</summary>
    /// <param name="asked">With the priority that the request asks for.</param>
    /// <exception cref="ApiException">403: the priority is not for this client.</exception>
    public Standing StandingOf(Standing asked) => asked.Priority >= PriorityMin
        ? asked with { Client = Name, Weight = Weight }
        : throw new ApiException(
            HttpStatusCode.Forbidden,
            $"\"priority\" is {asked.Priority}; this key may ask for {PriorityMin} or more, which is later.",
            "priority",
            "priority_denied");

    /// <summary>One customer has 2^64 addresses of version 6: they are one client.</summary>
    public static ApiClient OfAddress(IPAddress? address)
    {
        if (address is null) return new ApiClient("");
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        if (address.AddressFamily != AddressFamily.InterNetworkV6) return new ApiClient($"address {address}");
        var network = address.GetAddressBytes();
        network.AsSpan(NetworkBytes).Clear();
        return new ApiClient($"address {new IPAddress(network)}/{NetworkBytes * 8}");
    }
}
