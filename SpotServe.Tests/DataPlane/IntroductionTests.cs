using System.Collections.Concurrent;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

/// <summary>Ranks of one process show each other their devices, which then wait for each other by themselves.</summary>
public sealed class IntroductionTests
{
    private static readonly StepFailure Failure = new("a made failure", []);

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Ranks_of_one_process_get_all_devices_in_rank_order(int rankCount)
    {
        var ranks = LinkPairs.SharedRanks(rankCount);
        var devices = Devices(rankCount);
        var seen = new IReadOnlyList<IRankDevice>?[rankCount];

        LinkPairs.OnAllRanks(ranks, rank =>
        {
            rank.BeginStep(1);
            seen[rank.Rank] = rank.Introduce(devices[rank.Rank]);
        });

        Assert.All(seen, list => Assert.Equal(devices, list));
    }

    [Fact]
    public void Ranks_of_several_processes_get_none()
    {
        var ranks = LinkPairs.TcpRanks(2, TcpCollective.WholeBytesMax);

        Assert.All(ranks, rank => Assert.Null(rank.Introduce(new Device())));
        foreach (var rank in ranks) rank.Dispose();
    }

    [Fact]
    public void A_rank_that_abandons_a_step_frees_all_devices_from_it()
    {
        var (ranks, devices) = Introduced(3);

        ranks[1].BeginStep(2);
        ranks[1].Abandon(Failure);

        Assert.All(devices, device => Assert.Equal([2L], device.Steps));
        ranks[0].BeginStep(2);
        Assert.Same(Failure, Assert.Throws<StepFailedException>(ranks[0].ThrowIfOver).Failure);
    }

    [Fact]
    public void A_rank_whose_device_gave_up_hears_nothing_of_a_step_that_nobody_abandoned()
    {
        var (ranks, _) = Introduced(2);
        ranks[1].BeginStep(2);
        ranks[1].Abandon(Failure);

        ranks[0].BeginStep(3);

        ranks[0].ThrowIfOver();
    }

    [Fact]
    public void A_rank_that_leaves_frees_all_devices_for_good()
    {
        var (ranks, devices) = Introduced(2);

        ranks[1].Dispose();

        Assert.All(devices, device => Assert.True(device.HasEnded));
        Assert.Throws<PeerLostException>(ranks[0].ThrowIfOver);
    }

    [Fact]
    public void Ranks_meet_for_all_of_them_or_for_none_and_then_in_the_next_step()
    {
        var ranks = LinkPairs.SharedRanks(2);
        var devices = Devices(2);
        var failed = new ConcurrentBag<int>();

        LinkPairs.OnAllRanks(ranks, rank =>
        {
            rank.BeginStep(1);
            if (rank.Rank == 1)
            {
                rank.Abandon(Failure);
                return;
            }

            try
            {
                rank.Introduce(devices[0]);
            }
            catch (StepFailedException)
            {
                failed.Add(rank.Rank);
                rank.Abandon(Failure);
            }
        });

        Assert.Equal([0], failed);
        LinkPairs.OnAllRanks(ranks, rank =>
        {
            rank.BeginStep(2);
            Assert.Equal(devices, rank.Introduce(devices[rank.Rank]));
        });
    }

    private static (ICollective[] Ranks, Device[] Devices) Introduced(int rankCount)
    {
        var ranks = LinkPairs.SharedRanks(rankCount);
        var devices = Devices(rankCount);
        LinkPairs.OnAllRanks(ranks, rank =>
        {
            rank.BeginStep(1);
            rank.Introduce(devices[rank.Rank]);
        });
        return (ranks, devices);
    }

    private static Device[] Devices(int count) => [.. Enumerable.Range(0, count).Select(_ => new Device())];

    /// <summary>Keeps what it is told.</summary>
    private sealed class Device : IRankDevice
    {
        public ConcurrentQueue<long> Steps { get; } = [];

        public bool HasEnded { get; private set; }

        public void Abandoned(long step) => Steps.Enqueue(step);

        public void Ended() => HasEnded = true;
    }
}
