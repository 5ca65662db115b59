using System.Collections.Immutable;
using SpotServe.Actors;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class ReplicaTests
{
    private static readonly ImmutableArray<ImmutableArray<int>> Prompts =
        [[1, 2, 3], [.. Enumerable.Range(40, 37)], [255], [.. Enumerable.Repeat(9, 16)], [7, 7, 1, 0, 3, 250, 11]];

    public static TheoryData<int, int, Spread> Layouts()
    {
        var data = new TheoryData<int, int, Spread>();
        foreach (var (stages, ranks) in new[] { (1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4) })
        {
            foreach (var spread in Enum.GetValues<Spread>()) data.Add(stages, ranks, spread);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Replica_draws_the_models_own_tokens_when_split_over_a_layout(int stages, int ranks, Spread spread)
    {
        var sampling = new SamplingParameters(0.5f, 1, 0, 12345);
        var model = new FakeModel(FakeReplica.Model);
        await using var replica = await FakeReplica.StartAsync(stages, ranks, spread);

        var generated = replica.Generate(Prompts, 12, sampling);

        Assert.Equal(
            Prompts.Select(prompt => model.Generate(prompt.AsSpan(), 12, sampling)),
            generated.AsEnumerable());
    }

    [Theory]
    [InlineData(1, 2, Spread.NodePerDevice)]
    [InlineData(2, 2, Spread.NodePerDevice)]
    [InlineData(2, 2, Spread.NodePerStage)]
    [InlineData(2, 2, Spread.OneNode)]
    [InlineData(4, 1, Spread.NodePerDevice)]
    [InlineData(1, 4, Spread.TwoPerNode)]
    public async Task Every_other_rank_hears_of_it_when_a_rank_dies_between_steps(int stages, int ranks, Spread spread)
    {
        await using var replica = await FakeReplica.StartAsync(stages, ranks, spread);
        replica.Generate(Prompts, 2, SamplingParameters.Greedy);
        var dead = new Position(0, stages - 1, ranks - 1);

        replica.Runners[dead].Dispose();

        await AssertAllOthersLoseAPeer(replica, dead);
    }

    [Fact]
    public async Task Plans_submitted_after_a_loss_are_dropped_whatever_their_number()
    {
        await using var replica = await FakeReplica.StartAsync(2, 1, Spread.NodePerDevice);
        replica.Runners[new Position(0, 1, 0)].Dispose();
        await replica.Lost.WaitAsync(FakeReplica.Patience, TestContext.Current.CancellationToken);
        var plan = new StepPlan();

        // Its owner hears of the loss by a message and may plan several steps before that.
        for (var step = 1; step <= 3; step++) Submit(replica, plan, step);
    }

    [Theory]
    [InlineData(1, 2, Spread.NodePerDevice)]
    [InlineData(2, 2, Spread.NodePerDevice)]
    [InlineData(2, 2, Spread.NodePerStage)]
    [InlineData(2, 2, Spread.OneNode)]
    [InlineData(4, 1, Spread.NodePerDevice)]
    public async Task Every_other_rank_hears_of_it_when_a_rank_fails_within_a_step(int stages, int ranks, Spread spread)
    {
        var failing = new Position(0, stages - 1, ranks - 1);
        await using var replica = await FakeReplica.StartAsync(stages, ranks, spread, assignment => new FakeStageEngine(
            assignment,
            FakeReplica.Model,
            plan => FailAt(assignment.Position == failing && plan.StepId == 3)));
        var plan = new StepPlan();

        for (var step = 1; step <= 2; step++)
        {
            Submit(replica, plan, step);
            replica.Take();
        }

        Submit(replica, plan, 3);

        Assert.IsType<EngineLostException>(await Within(replica.Failures[failing].Task));
        await AssertAllOthersLoseAPeer(replica, failing);

        static void FailAt(bool now)
        {
            if (now) throw new EngineLostException("the test broke it");
        }
    }

    [Fact]
    public async Task Steps_are_answered_in_order_when_as_many_are_in_flight_as_queues_hold()
    {
        const int Stages = 3;
        await using var replica = await FakeReplica.StartAsync(Stages, 1, Spread.NodePerDevice);
        var plan = new StepPlan();
        var inFlight = StepPipeline.StepsInFlightMax(Stages);

        for (var step = 1; step <= inFlight; step++) Submit(replica, plan, step);

        Assert.Equal(
            Enumerable.Range(1, inFlight).Select(step => (long)step),
            Enumerable.Range(1, inFlight).Select(_ => replica.Take().StepId));
    }

    [Fact]
    public async Task Submit_breaks_an_invariant_when_more_steps_are_in_flight_than_queues_hold()
    {
        using var blocked = new ManualResetEventSlim();
        await using var replica = await FakeReplica.StartAsync(1, 1, Spread.OneNode, assignment => new FakeStageEngine(
            assignment, FakeReplica.Model, _ => blocked.Wait(FakeReplica.Patience)));
        var plan = new StepPlan();
        for (var step = 1; step <= StepPipeline.StepsInFlightMax(1); step++) Submit(replica, plan, step);

        Assert.Throws<InvariantException>(() => Submit(replica, plan, StepPipeline.StepsInFlightMax(1) + 1));

        blocked.Set();
    }

    [Fact]
    public async Task Ranks_lose_the_leader_when_a_plan_is_beyond_their_limits()
    {
        await using var replica = await FakeReplica.StartAsync(1, 2, Spread.NodePerDevice);
        var plan = new StepPlan();
        plan.Clear(1);
        plan.Add(0, [1, 2, 3], [64], samples: true, SamplingParameters.Greedy);

        replica.Pipeline.Submit(plan);

        // Whichever rank refuses first closes its links, which may be all that the other one hears.
        var failures = await Task.WhenAll(replica.Failures.Values.Select(failure => Within(failure.Task)));
        Assert.All(failures, failure => Assert.IsType<PeerLostException>(failure));
        Assert.Contains(failures, failure => failure.Message.Contains("page 64", StringComparison.Ordinal));
        Assert.IsType<PeerLostException>(await Within(replica.Lost));
    }

    [Fact]
    public async Task Engine_thread_allocates_nothing_a_step_when_warm()
    {
        var allocated = new List<long>(400);
        await using var replica = await FakeReplica.StartAsync(1, 2, Spread.NodePerDevice, assignment =>
            new FakeStageEngine(assignment, FakeReplica.Model, _ => Note(assignment.Position.Rank == 1)));
        var plan = new StepPlan();

        for (var step = 1; step <= 300; step++)
        {
            Submit(replica, plan, step);
            replica.Take();
        }

        Assert.Equal(0, allocated[^1] - allocated[100]);

        void Note(bool mine)
        {
            if (mine) allocated.Add(GC.GetAllocatedBytesForCurrentThread());
        }
    }

    private static void Submit(FakeReplica replica, StepPlan plan, long step)
    {
        plan.Clear(step);
        plan.Add(0, [1, 2, 3], [5], samples: true, SamplingParameters.Greedy);
        replica.Pipeline.Submit(plan);
    }

    private static async Task AssertAllOthersLoseAPeer(FakeReplica replica, Position dead)
    {
        foreach (var (position, failure) in replica.Failures)
        {
            if (position == dead) continue;
            Assert.IsType<PeerLostException>(await Within(failure.Task));
        }

        Assert.IsType<PeerLostException>(await Within(replica.Lost));
    }

    private static Task<Exception> Within(Task<Exception> task) =>
        task.WaitAsync(FakeReplica.Patience, TestContext.Current.CancellationToken);
}
