using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using SpotServe.Actors.Persistence;
using SpotServe.Tests.EndToEnd;
using SpotServe.Tests.Persistence;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>Streams at all control nodes, each read once with every token in its place, and requests that nobody
/// reads.</summary>
internal sealed class OpenRequests
{
    private const int Unread = 3;
    private const int PiecesToBeUnderway = 3;
    private const string EndedSql = "SELECT COUNT(*) FROM journal WHERE manifest LIKE 'request-finished.%'";
    private static readonly TimeSpan UnderwayMax = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(200);
    private static readonly IReadOnlyList<GoldenStories.Story> Stories = GoldenStories.Load();
    private readonly (string Id, GoldenStories.Story Story)[] _unread;

    private OpenRequests((string Id, GoldenStories.Story Story)[] unread, ResumingClient[] clients, Task allRead)
    {
        _unread = unread;
        Clients = clients;
        AllRead = allRead;
    }

    public IReadOnlyList<ResumingClient> Clients { get; }

    /// <summary>Completes when every client has read its story to the end.</summary>
    public Task AllRead { get; }

    public int Count => _unread.Length + Clients.Count;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Returns when all streams are under way.</summary>
    /// <param name="whenUnderway">Done at once when they are, before the last of them is read on: on a busy machine all
    /// may be over when the caller gets to it.</param>
    public static async Task<OpenRequests> BeginAsync(
        IReadOnlyList<HttpClient> controls, int streams, Action? whenUnderway = null)
    {
        var waiting = streams;
        var underway = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var unread = await Task.WhenAll(Enumerable.Range(0, Unread).Select(async i =>
        {
            var story = Stories[i % Stories.Count];
            return (await ResumingClient.SubmitAsync(controls[i % controls.Count], story, stop: null, Cancel), story);
        }));
        ResumingClient[] clients = [.. Enumerable.Range(0, streams).Select(
            i => new ResumingClient(controls, Stories[i % Stories.Count]))];
        var all = Task.WhenAll(clients.Select((client, i) => client.ReadAsync(
            i % controls.Count,
            pieces =>
            {
                if (pieces != PiecesToBeUnderway || Interlocked.Decrement(ref waiting) != 0) return;
                whenUnderway?.Invoke();
                underway.TrySetResult();
            },
            Cancel)));
        await Task.WhenAny(underway.Task, all).WaitAsync(UnderwayMax, Cancel);
        return new OpenRequests(unread, clients, all);
    }

    /// <summary>Requests that ended, by what the journal says: asking for one would wake it.</summary>
    public static async Task<int> EndedCountAsync(JournalOptions journal) =>
        Convert.ToInt32(await JournalDatabase.QueryAsync(journal, EndedSql));

    /// <summary>Waits until so many requests have ended.</summary>
    public static async Task EndedAsync(JournalOptions journal, int count)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        limit.CancelAfter(Waits.Max);
        using var timer = new PeriodicTimer(Period);
        while (await EndedCountAsync(journal) < count)
        {
            try
            {
                await timer.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException) when (!Cancel.IsCancellationRequested)
            {
                Assert.Fail($"waited for {count} requests to end, but {await EndedCountAsync(journal)} have");
            }
        }
    }

    /// <summary>Fails unless all, read or not, are the texts of an undisturbed run. To be called when all have
    /// ended.</summary>
    public async Task AssertGoldenAsync(HttpClient control)
    {
        Assert.All(Clients, client => client.AssertGolden());
        foreach (var (id, story) in _unread)
        {
            var body = await EndOfAsync(control, id);
            Assert.Equal("completed", body.GetProperty("status").GetString());
            Assert.True(story.Matches(body.GetProperty("text").GetString()!), body.ToString());
        }
    }

    /// <summary>One that was refused for being late and sent again is in the journal twice, so that the count of ends
    /// may be full a little early.</summary>
    private static async Task<JsonElement> EndOfAsync(HttpClient control, string id)
    {
        using var timer = new PeriodicTimer(Period);
        for (var began = Stopwatch.GetTimestamp(); ;)
        {
            var body = await control.GetFromJsonAsync<JsonElement>($"/v1/requests/{id}", Cancel);
            var hasEnded = body.GetProperty("status").GetString() != "in_progress";
            if (hasEnded || Stopwatch.GetElapsedTime(began) > Waits.Max) return body;
            await timer.WaitForNextTickAsync(Cancel);
        }
    }

    public override string ToString() =>
        $"{Clients.Count(client => client.Broken > 0)} of {Clients.Count} connections broke; longest gaps "
        + string.Join(", ", Clients.Select(client => $"{client.LongestGap.TotalSeconds:0.0}")) + " s";
}
