using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;
using Xunit;

namespace SpotServe.Tests.Evaluation;

/// <summary>Fixed batches and the artifact's dispatch, by hand: a prompt takes 2 s, a token 1 s, whatever the
/// batch.</summary>
public sealed class BatchServiceTests
{
    private const int OutputTokens = 10;

    private readonly VirtualTime _time = new();

    [Fact]
    public void A_request_alone_takes_prompt_and_tokens()
    {
        var requests = Play([0], out _);

        Assert.Equal(12, requests[0].CompletedAt);
    }

    [Fact]
    public void Those_that_wait_in_the_pool_start_together_as_the_largest_power_of_two()
    {
        // The first runs alone until 12; four come meanwhile, three of them into the pool.
        var requests = Play([0, 1, 2, 3, 4], out _);

        Assert.Equal([12.0, 24.0, 24.0, 36.0, 36.0], requests.Select(request => request.CompletedAt!.Value));
    }

    [Fact]
    public void An_idle_replica_takes_up_to_b_at_once()
    {
        var service = new BatchService(_time, poolFactor: 1);
        var requests = Requests([0, 0, 0, 0, 0]);
        foreach (var request in requests) service.Arrive(request);

        service.Open(Replica(), []);
        _time.RunUntil(100);

        Assert.Equal([12.0, 12.0, 12.0, 12.0, 24.0], requests.Select(request => request.CompletedAt!.Value));
    }

    [Fact]
    public void A_batch_that_is_broken_off_has_whole_tokens_and_goes_on_from_them_elsewhere()
    {
        var requests = Play([0], out var service, until: 7.5);

        var (broken, hadCache) = service.Close(service.Replicas[0]);
        service.Open(Replica(readyAt: 10), broken);
        _time.RunUntil(100);

        Assert.True(hadCache);
        Assert.Equal(10 + (OutputTokens - 5), requests[0].CompletedAt);
        Assert.Equal(0, requests[0].RecomputedTokens);
    }

    [Fact]
    public void No_batch_is_begun_that_would_give_no_token_before_the_stop()
    {
        var service = new BatchService(_time, poolFactor: 1);
        var replica = Replica();
        service.Open(replica, []);
        replica.StopsAt = 2.5;

        service.Arrive(Requests([0])[0]);

        Assert.Empty(replica.Running);
        Assert.Equal(1, service.Queued);
    }

    [Fact]
    public void A_request_that_starts_over_counts_what_is_computed_again()
    {
        var requests = Play([0], out var service, until: 7.5);

        var (broken, hadCache) = service.Close(service.Replicas[0]);
        foreach (var request in broken) request.StartOver(hadCache);

        Assert.Equal(100 + 5, requests[0].RecomputedTokens);
        Assert.Equal(0, requests[0].Decoded);
    }

    private SimulatedRequest[] Play(double[] arrivals, out BatchService service, double until = 100)
    {
        var made = service = new BatchService(_time, poolFactor: 1);
        var requests = Requests(arrivals);
        foreach (var request in requests) _time.At(request.ArrivedAt, () => made.Arrive(request));
        service.Open(Replica(), []);
        _time.RunUntil(until);
        return requests;
    }

    private static SimulatedRequest[] Requests(double[] arrivals) =>
        [.. arrivals.Select((at, i) => new SimulatedRequest(i, new Arrival(at, 100, OutputTokens)))];

    private static BatchReplica Replica(double readyAt = 0) =>
        new(size => new ReplicaCost(size, Prefill: 2, Step: 1, Overhead: 0, 1, 1), sizeMax: 4, readyAt);
}
