using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>Streams that run beside a test until it has done what it does.</summary>
internal sealed class RunningLoad : IDisposable
{
    private static readonly TimeSpan UnderwayMax = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan FinishMax = TimeSpan.FromMinutes(5);
    private readonly HttpClient _http;
    private readonly Func<string> _explain;
    private readonly StreamLoad _load;
    private readonly CancellationTokenSource _enough = new();
    private readonly Task _streams;
    private readonly TaskCompletionSource _underway = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private RunningLoad(HttpClient http, int streams, Func<string> explain)
    {
        _http = http;
        _explain = explain;
        _load = new StreamLoad(http, GoldenStories.Load());
        _streams = _load.RunAsync(streams, int.MaxValue, _enough.Token, _underway);
    }

    /// <summary>Streams that came to their end.</summary>
    public int Finished => _load.Finished;

    /// <summary>Pieces that all streams together have shown.</summary>
    public int Pieces => _load.Pieces;

    /// <summary>Begins, and waits until every stream has shown some pieces.</summary>
    /// <param name="explain">Added to the message of a failure.</param>
    public static async Task<RunningLoad> StartAsync(HttpClient http, int streams, Func<string> explain)
    {
        var load = new RunningLoad(http, streams, explain);
        await load._underway.Task.WaitAsync(UnderwayMax, TestContext.Current.CancellationToken);
        return load;
    }

    /// <summary>Lets every stream come to its end; fails when one was not the text of an undisturbed run, and when a
    /// page is left behind.</summary>
    public async Task<GapSummary> EndAsync()
    {
        await EndStreamsAsync();
        await ReplicaState.UntilAsync(
            _http, "all pages free", replicas => replicas.All(replica => replica.IsIdle));
        return _load.Gaps();
    }

    /// <summary>As <see cref="EndAsync"/>, while others go on.</summary>
    public async Task EndStreamsAsync()
    {
        await _enough.CancelAsync();
        try
        {
            await _streams.WaitAsync(FinishMax, TestContext.Current.CancellationToken);
        }
        catch (TimeoutException)
        {
            Assert.Fail($"streams did not end within {FinishMax.TotalSeconds:0} s:\n{_explain()}");
        }

        AssertNothingWrong();
    }

    /// <summary>Fails when a stream that is over was not the text of an undisturbed run.</summary>
    public void AssertNothingWrong()
    {
        if (_load.Wrong.Count > 0) Assert.Fail($"{string.Join('\n', _load.Wrong)}\n{_explain()}");
    }

    public void Dispose()
    {
        _enough.Cancel();
        _enough.Dispose();
    }
}
