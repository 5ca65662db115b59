using System.CommandLine;
using System.Net.Http.Headers;
using System.Text.Json;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Commands;

/// <summary>Options of verbs that talk to a seed that runs, and how they talk to it.</summary>
internal sealed class ServerFlags
{
    /// <summary>Longest wait for the beginning of an answer.</summary>
    private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(60);

    private Option<string> Address { get; } = new("--url")
    {
        Description = "Address of the seed.",
        DefaultValueFactory = _ => "http://127.0.0.1:8080",
    };

    private Option<string?> KeyFile { get; } = new("--admin-key-file")
    {
        Description = $"File with the seed's admin key; or {HttpAccessFlags.KeyVariable}.",
        HelpName = "FILE",
    };

    public void AddTo(Command command)
    {
        command.Options.Add(Address);
        command.Options.Add(KeyFile);
    }

    /// <exception cref="UsageException">The address is none, or the key cannot be read.</exception>
    public HttpClient Open(ParseResult parsed)
    {
        var text = parsed.GetValue(Address)!;
        if (!Uri.TryCreate(text, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https"))
            throw new UsageException($"--url {text} is no address; give one such as http://127.0.0.1:8080.");
        var client = new HttpClient { BaseAddress = address, Timeout = AnswerMax };
        var key = parsed.GetValue(KeyFile) is { } file
            ? TextFile.ReadFirstLine("--admin-key-file", file)
            : Environment.GetEnvironmentVariable(HttpAccessFlags.KeyVariable)?.Trim();
        if (!string.IsNullOrEmpty(key))
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        return client;
    }

    /// <summary>Asks the seed; what it refuses is the user's to read.</summary>
    /// <exception cref="UsageException">Nobody answers there, or the answer is an error; says why.</exception>
    public static async Task<HttpResponseMessage> AskAsync(
        HttpClient client, HttpRequestMessage request, CancellationToken cancel)
    {
        try
        {
            var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
            if (response.IsSuccessStatusCode) return response;
            using var refused = response;
            var reason = await ReasonAsync(response, cancel);
            throw new UsageException($"{client.BaseAddress} answered {(int)response.StatusCode}: {reason}");
        }
        catch (HttpRequestException error)
        {
            throw new UsageException(
                $"No seed answers at {client.BaseAddress}: {error.Message.TrimEnd('.')}. Start one, or give --url.");
        }
        catch (TaskCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new UsageException($"{client.BaseAddress} did not answer within {AnswerMax.TotalSeconds:0} s.");
        }
    }

    private static async Task<string> ReasonAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        var text = await response.Content.ReadAsStringAsync(cancel);
        try
        {
            using var body = JsonTexts.Parse(text);
            return JsonTexts.Of(body.RootElement.GetProperty("error").GetProperty("message")) ?? text;
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return response.ReasonPhrase ?? "no reason given";
        }
    }
}
