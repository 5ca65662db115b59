using System.CommandLine;

namespace SpotServe.Actors.Hosting;

/// <summary>The option that names a collector: the same for control nodes and nodes.</summary>
public static class TelemetryFlag
{
    public const string Name = "--otlp";

    public static Option<string?> Create() => new(Name)
    {
        Description = "Send metrics and traces to this OpenTelemetry collector (OTLP over HTTP), e.g. "
            + "http://127.0.0.1:4318.",
        HelpName = "URL",
    };

    /// <returns>Null when none is named.</returns>
    /// <exception cref="UsageException">It is no address of a collector.</exception>
    public static Uri? Read(string? url)
    {
        if (url is null) return null;
        return Uri.TryCreate(url, UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
            && address is { Query: "", Fragment: "", UserInfo: "" }
            ? address
            : throw new UsageException($"{Name} is {url}; it must be http://HOST:PORT or https://HOST:PORT.");
    }
}
