using System.Net;
using System.Runtime.CompilerServices;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Api;

/// <summary>Writes one request's completion to one HTTP response, streamed or whole.</summary>
internal sealed partial class CompletionResponse(
    CompletionReader reader,
    ApiOptions options,
    IHostApplicationLifetime lifetime,
    TimeProvider time,
    ILogger<CompletionResponse> log)
{
    /// <summary>Events that are sent together at most, when their tokens came together: a client that reads slowly
    /// costs no more memory than that.</summary>
    private const int UnsentMax = 32;

    /// <summary>Streams the events after the one that was seen last.</summary>
    public async Task StreamAsync(HttpContext http, Answer answer, int? lastSeen)
    {
        using var silence = new CancellationTokenSource(options.SilenceMax, time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(
            http.RequestAborted, lifetime.ApplicationStopping, silence.Token);
        var events = new SseWriter(http);
        var id = answer.Id;
        try
        {
            // The request is known: its headers need not wait for its first token.
            await events.StartAsync(ending.Token).ConfigureAwait(false);
            var stream = new CompletionEvents(events, answer, lastSeen);
            stream.Begin();
            var unsent = 0;
            await foreach (var (choice, piece) in reader.ReadAllAsync(answer.Candidates, ending.Token)
                .ConfigureAwait(false))
            {
                silence.CancelAfter(options.SilenceMax);
                var ended = stream.Add(choice, piece);
                unsent = piece.IsFollowed && unsent < UnsentMax ? unsent + 1 : 0;
                if (unsent == 0) await events.FlushAsync(ending.Token).ConfigureAwait(false);
                if (ended) return;
                if (unsent == 0 && piece.IsFollowed) await LeaveTokenThread();
            }

            throw new Actors.InvariantException("a completion's pieces end with its end");
        }
        catch (OperationCanceledException) when (!http.RequestAborted.IsCancellationRequested)
        {
            await AddErrorAsync(http, events, Interrupted(id)).ConfigureAwait(false);
        }
        catch (TooManyReadersException error)
        {
            // Another reader came between the question and this one.
            await AddErrorAsync(http, events, new ApiException(
                HttpStatusCode.TooManyRequests, error.Message, code: "too_many_readers",
                retryAfter: options.RetryAfter)).ConfigureAwait(false);
        }
        catch (Exception error) when (http.Response.HasStarted && !http.RequestAborted.IsCancellationRequested)
        {
            LogBroken(log, id, error);
            await AddErrorAsync(http, events, Failed(id, "This server could not go on.")).ConfigureAwait(false);
        }
    }

    /// <summary>Answers with the whole of it.</summary>
    /// <exception cref="ApiException">It failed, or was interrupted.</exception>
    public async Task WriteAsync(HttpContext http, Answer answer)
    {
        using var silence = new CancellationTokenSource(options.SilenceMax, time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(
            http.RequestAborted, lifetime.ApplicationStopping, silence.Token);
        var choices = answer.Candidates.Select(choice => new WholeChoiceBuilder(choice)).ToArray();
        try
        {
            await foreach (var (choice, piece) in reader.ReadAllAsync(answer.Candidates, ending.Token)
                .ConfigureAwait(false))
            {
                silence.CancelAfter(options.SilenceMax);
                if (piece is CompletionPiece.Broken broken) throw ErrorOf(choice.Id, broken);
                choices[choice.Index].Add(piece);
            }
        }
        catch (OperationCanceledException) when (!http.RequestAborted.IsCancellationRequested)
        {
            throw Interrupted(answer.Id);
        }

        await LeaveTokenThread();
        var usage = answer.UsageOf(
            choices.Sum(choice => choice.TokenCount), choices.Select(choice => choice.ReusedTokens));
        var best = answer.Best([.. choices.Select(choice => choice.Build())]);
        await answer.Form.WriteAsync(http, answer, best, usage).ConfigureAwait(false);
    }

    /// <summary>The thread that brings a token brings all others, too: what is longer than a few of them goes on
    /// elsewhere.</summary>
    private static ConfiguredTaskAwaitable LeaveTokenThread() =>
        Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);

    private static async Task AddErrorAsync(HttpContext http, SseWriter events, ApiException error)
    {
        if (!http.Response.HasStarted) throw error;
        events.Add(error.Body, ApiJson.Plain.ErrorEnvelope, name: "error");
        await events.FlushAsync(http.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>A request whose time was over is answered as one, and not to be sent again by itself: the client chose
    /// the time.</summary>
    public static ApiException ErrorOf(RequestId id, CompletionPiece.Broken broken) => broken.IsLate
        ? new ApiException(
            HttpStatusCode.RequestTimeout, $"Request {id} was ended: {broken.Error}", code: "request_timeout")
        {
            IsFinal = true,
        }
        : Failed(id, broken.Error);

    private static ApiException Failed(RequestId id, string why) =>
        new(HttpStatusCode.InternalServerError, $"Request {id} cannot be completed: {why}", code: "request_failed");

    private ApiException Interrupted(RequestId id) => new(
        HttpStatusCode.ServiceUnavailable,
        (lifetime.ApplicationStopping.IsCancellationRequested
            ? "This server is stopping"
            : $"There was no token for {options.SilenceMax.TotalSeconds:0.#} s") +
        $"; request {id} goes on. Read the rest with GET /v1/requests/{id}.",
        code: "interrupted",
        retryAfter: options.RetryAfter);

    [LoggerMessage(Level = LogLevel.Error, Message = "The response to request {Id} broke off")]
    private static partial void LogBroken(ILogger log, RequestId id, Exception error);
}
