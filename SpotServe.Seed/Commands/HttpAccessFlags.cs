using System.Collections.Immutable;
using System.CommandLine;
using SpotServe.Actors.Hosting;
using SpotServe.Seed.Api;

namespace SpotServe.Seed.Commands;

/// <summary>Options that say who may use the HTTP port, and for what.</summary>
internal sealed class HttpAccessFlags
{
    /// <summary>Environment variable with the admin key.</summary>
    public const string KeyVariable = "SPOTSERVE_ADMIN_KEY";

    private const int KeyCharsMin = 16;
    private const int KeyCharsMax = 1024;

    private Option<string?> KeyFile { get; } = new("--admin-key-file")
    {
        Description = $"File with the key that /admin then asks for; or {KeyVariable}. Without a key /admin answers " +
            "this machine only.",
        HelpName = "FILE",
    };

    private Option<string?> ClientKeys { get; } = new("--api-keys-file")
    {
        Description = "File with a line for each key that clients may use: its SHA-256 in hexadecimal digits, and a " +
            "name. Without it clients need no key.",
        HelpName = "FILE",
    };

    private Option<string[]> Hosts { get; } = new("--allow-host")
    {
        Description = "Further name by which clients reach a seed that listens on loopback, e.g. behind a proxy.",
        HelpName = "NAME",
    };

    private Option<string[]> Origins { get; } = new("--allow-origin")
    {
        Description = "Origin of web pages that may use this seed, e.g. https://chat.example; * is any.",
        HelpName = "ORIGIN",
    };

    public void AddTo(Command command)
    {
        command.Options.Add(KeyFile);
        command.Options.Add(ClientKeys);
        command.Options.Add(Hosts);
        command.Options.Add(Origins);
    }

    /// <exception cref="UsageException">The key cannot be read, or is none.</exception>
    public AccessOptions Read(ParseResult parsed) => new()
    {
        AdminKey = ReadKey(parsed.GetValue(KeyFile)),
        Keys = parsed.GetValue(ClientKeys) is { } file ? ReadKeys(file) : [],
        Hosts = [.. parsed.GetValue(Hosts) ?? []],
        Origins = [.. (parsed.GetValue(Origins) ?? []).Select(CheckOrigin)],
    };

    private static ImmutableArray<ApiKey> ReadKeys(string file)
    {
        try
        {
            return ApiKeys.Parse(TextFile.ReadLines("--api-keys-file", file));
        }
        catch (FormatException error)
        {
            throw new UsageException($"--api-keys-file {file} cannot be used: it {error.Message}.");
        }
    }

    /// <summary>Browsers send scheme, host and port and nothing else; what is not written so would never be
    /// met.</summary>
    private static string CheckOrigin(string origin)
    {
        var isOrigin = origin == "*" || (Uri.TryCreate(origin, UriKind.Absolute, out var uri)
            && uri.Scheme is "http" or "https" && uri is { Host.Length: > 0, PathAndQuery: "/", Fragment: "" }
            && uri.UserInfo.Length == 0 && !origin.EndsWith('/'));
        return isOrigin ? origin : throw new UsageException(
            $"--allow-origin {origin} is no origin; write scheme, host and port, e.g. https://chat.example, or *.");
    }

    private static string? ReadKey(string? file)
    {
        var (key, source) = file is null
            ? (Environment.GetEnvironmentVariable(KeyVariable)?.Trim(), KeyVariable)
            : (TextFile.ReadFirstLine("--admin-key-file", file), $"The key in --admin-key-file {file}");
        if (file is null && string.IsNullOrEmpty(key)) return null;
        return key is { Length: >= KeyCharsMin and <= KeyCharsMax } && key.All(c => c is > ' ' and < (char)127)
            ? key
            : throw new UsageException(
                $"{source} must be {KeyCharsMin} to {KeyCharsMax} printable ASCII characters without spaces.");
    }
}
