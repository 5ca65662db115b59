using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net.ServerSentEvents;
using System.Text;
using Spectre.Console;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Commands;

/// <summary>`chat`: a conversation with the model in the terminal, through POST /v1/chat/completions.</summary>
internal static class ChatCommand
{
    /// <summary>Messages that are sent along; older ones are left out.</summary>
    private const int MessagesMax = 64;

    private static readonly ServerFlags Server = new();

    private static readonly Option<int> Tokens = new("--max-tokens")
    {
        Description = "Most tokens of an answer, 1 to 131072.",
        DefaultValueFactory = _ => 300,
    };

    private static readonly Option<double> Temperature = new("--temperature")
    {
        Description = "0 to 2; 0 always takes the likeliest token.",
        DefaultValueFactory = _ => 0.7,
    };

    public static Command Create()
    {
        var command = new Command("chat", "A conversation with a seed's model. An empty line or Ctrl-C ends it.");
        Server.AddTo(command);
        command.Options.Add(Tokens);
        command.Options.Add(Temperature);
        command.SetAction((parsed, cancel) => RootCommands.Serving(() => RunAsync(parsed, cancel), cancel));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancel)
    {
        var tokens = parsed.GetValue(Tokens);
        SeedFlags.RequireRange("--max-tokens", tokens, 1, 131_072);
        var temperature = parsed.GetValue(Temperature);
        if (temperature is not (>= 0 and <= 2))
            throw new UsageException($"--temperature is {temperature}; it must be 0 to 2.");
        using var client = Server.Open(parsed);
        var messages = new List<Message>();
        while (await ReadAsync(cancel) is { Length: > 0 } line)
        {
            messages.Add(new Message("user", line));
            if (messages.Count > MessagesMax) messages.RemoveRange(0, messages.Count - MessagesMax);
            var answer = await AnswerAsync(client, new
            {
                messages = messages.Select(message => new { role = message.Role, content = message.Text }),
                max_tokens = tokens,
                temperature,
                stream = true,
            }, cancel);
            messages.Add(new Message("assistant", answer));
        }

        return 0;
    }

    /// <summary>A line of the user's; null at the end of the input. Reading a terminal cannot be cancelled, so it is
    /// left behind when the user asks for the end.</summary>
    private static async Task<string?> ReadAsync(CancellationToken cancel)
    {
        if (!Console.IsInputRedirected) AnsiConsole.Markup("[bold]> [/]");
        return await Task.Run(Console.In.ReadLine, cancel).WaitAsync(cancel);
    }

    private static async Task<string> AnswerAsync(HttpClient client, object body, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = JsonContent.Create(body),
        };
        var clock = Stopwatch.StartNew();
        using var response = await ServerFlags.AskAsync(client, request, cancel);
        await using var stream = await response.Content.ReadAsStreamAsync(cancel);
        var answer = new StringBuilder();
        var (pieces, first, last, longest) = (0, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero);
        await foreach (var item in SseParser.Create(stream).EnumerateAsync(cancel))
        {
            if (item.Data == "[DONE]") break;
            if (TextOf(item) is not { Length: > 0 } text) continue;
            if (pieces++ == 0) first = clock.Elapsed;
            else if (clock.Elapsed - last > longest) longest = clock.Elapsed - last;
            last = clock.Elapsed;
            answer.Append(text);
            // Never markup: what a model says is text.
            Console.Write(text);
        }

        Console.WriteLine();
        AnsiConsole.MarkupLine(string.Create(
            CultureInfo.InvariantCulture,
            $"[dim]({pieces} pieces, the first after {first.TotalMilliseconds:0} ms, "
            + $"longest gap {longest.TotalMilliseconds:0} ms)[/]"));
        return answer.ToString();
    }

    /// <exception cref="UsageException">The event is an error.</exception>
    private static string? TextOf(SseItem<string> item)
    {
        using var chunk = JsonTexts.Parse(item.Data);
        if (chunk.RootElement.TryGetProperty("error", out var error))
            throw new UsageException(JsonTexts.Of(error.GetProperty("message")) ?? "The answer broke off.");
        var delta = chunk.RootElement.GetProperty("choices")[0].GetProperty("delta");
        return delta.TryGetProperty("content", out var text) ? JsonTexts.Of(text) : null;
    }

    private sealed record Message(string Role, string Text);
}
