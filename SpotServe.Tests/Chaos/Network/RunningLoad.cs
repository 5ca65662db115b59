using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos.Network;

/// <summary>Streams that run beside a test until it has done what it does.</summary>
internal sealed class RunningLoad : IDisposable
{
    private static readonly TimeSpan UnderwayMax = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan FinishMax = TimeSpan.FromMinutes(1);
    private readonly NetworkCluster _cluster;
    private readonly StreamLoad _load;
    private readonly CancellationTokenSource _enough = new();
    private readonly Task _streams;
    private readonly TaskCompletionSource _underway = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private RunningLoad(NetworkCluster cluster, int streams)
    {
        _cluster = cluster;
        _load = new StreamLoad(cluster.Http, GoldenStories.Load());
        _streams = _load.RunAsync(streams, int.MaxValue, _enough.Token, _underway);
    }

    /// <summary>Streams that came to their end.</summary>
    public int Finished => _load.Finished;

    /// <summary>Pieces that all streams together have shown.</summary>
    public int Pieces => _load.Pieces;

    /// <summary>Begins, and waits until every stream has shown some pieces.</summary>
    public static async Task<RunningLoad> StartAsync(NetworkCluster cluster, int streams)
    {
        var load = new RunningLoad(cluster, streams);
        await load._underway.Task.WaitAsync(UnderwayMax, TestContext.Current.CancellationToken);
        return load;
    }

    /// <summary>Lets every stream come to its end; fails when one was not the text of an undisturbed run, and when a
    /// page is left behind.</summary>
    public async Task<GapSummary> EndAsync()
    {
        await _enough.CancelAsync();
        try
        {
            await _streams.WaitAsync(FinishMax, TestContext.Current.CancellationToken);
        }
        catch (TimeoutException)
        {
            Assert.Fail($"streams did not end within {FinishMax.TotalSeconds:0} s:\n{_cluster.WhatWasSaid()}");
        }

        if (_load.Wrong.Count > 0) Assert.Fail($"{string.Join('\n', _load.Wrong)}\n{_cluster.WhatWasSaid()}");
        await ReplicaState.UntilAsync(
            _cluster.Http, "all pages free", replicas => replicas.All(replica => replica.IsIdle));
        return _load.Gaps();
    }

    public void Dispose()
    {
        _enough.Cancel();
        _enough.Dispose();
    }
}
