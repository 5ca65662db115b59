using System.Collections.Immutable;
using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.ModelFolder;
using SpotServe.Actors.Planning;
using SpotServe.Tests.Replica;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;
using static SpotServe.Actors.Replica.ReplicaControlProtocol;

namespace SpotServe.Tests.Cluster;

public sealed class ShardActorTests : PatientTestKit
{
    private static readonly DeviceId Device = new("a:1#1", 0);
    private readonly ManualDevice _device = new();
    private readonly TestProbe _node;
    private readonly TestProbe _replica;

    public ShardActorTests()
    {
        _node = CreateTestProbe("node");
        _replica = CreateTestProbe("replica");
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Position_is_prepared_connected_and_its_replica_announced()
    {
        await RunningAsync(1, new ManualPipeline(1, 8));

        var started = _node.ExpectMsg<ReplicaStarted>(cancellationToken: Cancel);
        started.ReplicaActor.Tell("hello");

        Assert.Equal((new Epoch(1), 0), (started.Epoch, started.Replica));
        Assert.Equal("hello", _replica.ExpectMsg<string>(cancellationToken: Cancel));
    }

    [Fact]
    public async Task Running_position_goes_on_while_a_newer_epoch_gets_ready_and_runs()
    {
        var (shard, engine, stage) = await RunningAsync(1, pipeline: null);

        await RunningAsync(2, pipeline: null, shard: shard);
        var holdings = await shard.Ask<DeviceHoldings>(new GetHoldings(1), Cancel);

        Assert.False(stage.Disposed.IsCompleted);
        Assert.False(engine.Disposed.IsCompleted);
        Assert.Equal([new Epoch(1), new Epoch(2)], holdings.Positions.Select(position => position.Epoch).Order());
        Assert.All(holdings.Positions, position => Assert.True(position.IsRunning));
    }

    [Fact]
    public async Task Running_position_is_closed_by_one_that_has_no_room_beside_it()
    {
        var (shard, _, stage) = await RunningAsync(1, pipeline: null);

        shard.Tell(Prepare(2));

        await stage.Disposed.WaitAsync(Cancel);
        stage.ThreadEnd.SetResult();
        Assert.Equal(new Epoch(1), _node.ExpectMsg<PositionReleased>(cancellationToken: Cancel).Epoch);
    }

    [Fact]
    public async Task Release_is_confirmed_once_the_thread_has_ended_and_the_engine_is_gone()
    {
        var (shard, engine, stage) = await RunningAsync(1, pipeline: null);

        shard.Tell(new ReleasePosition(new Epoch(1), Device, Trim: true));
        await stage.Disposed.WaitAsync(Cancel);
        Assert.False(engine.Disposed.IsCompleted);
        stage.ThreadEnd.SetResult();

        Assert.Equal(new Epoch(1), _node.ExpectMsg<PositionReleased>(cancellationToken: Cancel).Epoch);
        Assert.True(engine.Disposed.IsCompleted);
        Assert.Equal(1, _device.Trims);
    }

    /// <summary>Every later position of the device waits for the engine's memory: one that stays would block the
    /// device for ever.</summary>
    [Fact]
    public async Task Engine_goes_and_is_confirmed_gone_when_the_end_of_its_stage_fails()
    {
        var (shard, engine, stage) = await RunningAsync(1, pipeline: null);
        stage.Fault = new InvalidOperationException("a link does not close");

        shard.Tell(new ReleasePosition(new Epoch(1), Device, Trim: false));
        await stage.Disposed.WaitAsync(Cancel);
        stage.ThreadEnd.SetResult();

        await engine.Disposed.WaitAsync(Cancel);
        Assert.Equal(new Epoch(1), _node.ExpectMsg<PositionReleased>(cancellationToken: Cancel).Epoch);
    }

    [Fact]
    public async Task Release_of_what_is_not_there_is_confirmed_at_once_and_it_is_not_prepared_any_more()
    {
        var shard = Shard();

        shard.Tell(new ReleasePosition(new Epoch(7), Device, Trim: false));

        Assert.Equal(new Epoch(7), _node.ExpectMsg<PositionReleased>(cancellationToken: Cancel).Epoch);
        shard.Tell(Prepare(7));
        Assert.Empty((await shard.Ask<DeviceHoldings>(new GetHoldings(1), Cancel)).Positions);
        shard.Tell(Prepare(8));
        Assert.Equal(8, (await _device.NextLoadAsync(Cancel)).Order!.Assignment.Epoch.Value);
    }

    [Fact]
    public async Task Engine_of_an_abandoned_preparation_is_disposed_of_when_it_arrives_late()
    {
        var shard = Shard();
        shard.Tell(Prepare(1));
        var late = await _device.NextLoadAsync(Cancel);
        shard.Tell(Prepare(2));
        var current = await _device.NextLoadAsync(Cancel);
        var engine = new IdleEngine(Assignment(1));

        late.End.SetResult(engine);
        await engine.Disposed.WaitAsync(Cancel);
        Assert.Equal(new Epoch(1), _node.ExpectMsg<PositionReleased>(cancellationToken: Cancel).Epoch);
        current.End.SetResult(new IdleEngine(Assignment(2)));

        Assert.True(late.Cancel.IsCancellationRequested);
        Assert.Equal(new Epoch(2), _node.ExpectMsg<DevicePrepared>(cancellationToken: Cancel).Epoch);
    }

    [Fact]
    public async Task Repeated_commands_are_answered_again_and_change_nothing()
    {
        var (shard, _, _) = await RunningAsync(1, new ManualPipeline(1, 8));
        _node.ExpectMsg<ReplicaStarted>(cancellationToken: Cancel);

        shard.Tell(Prepare(1));
        shard.Tell(Connect(1));

        _node.ExpectMsg<DevicePrepared>(cancellationToken: Cancel);
        _node.ExpectMsg<DeviceConnected>(cancellationToken: Cancel);
        _node.ExpectMsg<ReplicaStarted>(cancellationToken: Cancel);
    }

    [Fact]
    public async Task Pages_cannot_be_copied_to_a_position_that_is_not_there()
    {
        var shard = Shard();
        var leader = CreateTestProbe();

        shard.Tell(new CopyDevicePages(new Epoch(3), Device, 1, 0, [1], [1], false), leader);

        var lost = leader.ExpectMsg<DevicePagesLost>(cancellationToken: Cancel);
        Assert.Equal((new Epoch(3), 1L), (lost.Epoch, lost.Job));
    }

    [Fact]
    public async Task Load_that_fails_is_reported_with_its_reason()
    {
        var shard = Shard();
        shard.Tell(Prepare(1));

        (await _device.NextLoadAsync(Cancel)).End.SetException(new ModelFormatException("no tensor q"));

        var failed = _node.ExpectMsg<DeviceFailed>(cancellationToken: Cancel);
        Assert.Equal(new Epoch(1), failed.Epoch);
        Assert.Contains("no tensor q", failed.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Replica_that_loses_its_pipeline_is_reported_once()
    {
        var (_, _, stage) = await RunningAsync(1, new ManualPipeline(1, 8));
        var replica = _node.ExpectMsg<ReplicaStarted>(cancellationToken: Cancel).ReplicaActor;

        Sys.ActorSelection(replica.Path.Parent).Tell(new ReplicaLost(new Epoch(1), 0, "rank 1 is gone"));

        var failed = _node.ExpectMsg<DeviceFailed>(cancellationToken: Cancel);
        Assert.Contains("rank 1 is gone", failed.Reason, StringComparison.Ordinal);
        await stage.Disposed.WaitAsync(Cancel);
    }

    [Fact]
    public async Task Device_that_is_lost_is_lost_to_every_epoch_that_it_has_a_position_in()
    {
        // As nodes do with a device that is gone: it is not started again.
        var shard = Shard(supervision: new OneForOneStrategy(_ => Directive.Stop));
        await RunningAsync(1, pipeline: null, shard: shard);
        shard.Tell(Prepare(2, predecessor: 1));

        (await _device.NextLoadAsync(Cancel)).End.SetException(new EngineLostException("the driver is gone"));

        var failed = new[] { NextFailure(), NextFailure() };
        Assert.Equal([new Epoch(1), new Epoch(2)], failed.Select(failure => failure.Epoch).Order());
        Assert.All(failed, failure => Assert.Contains("the driver is gone", failure.Reason, StringComparison.Ordinal));

        DeviceFailed NextFailure() => (DeviceFailed)_node.FishForMessage(
            message => message is DeviceFailed, cancellationToken: Cancel);
    }

    [Fact]
    public async Task Replica_actor_that_cannot_be_made_is_reported()
    {
        await RunningAsync(1, new ManualPipeline(1, 8), Props.Create(() => new Unmakeable()));

        var failed = _node.FishForMessage<DeviceFailed>(_ => true, cancellationToken: Cancel);

        Assert.Contains("replica actor", failed.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Probe_that_is_asked_for_again_meanwhile_is_one_probe()
    {
        var shard = Shard();
        var slice = new WeightSlice(TensorGroup.Layers, new LayerRange(0, 1), default);
        var question = new ProbeSources(new Epoch(1), Device, new DeviceId("b:1#1", 0), slice, "127.0.0.1:1");
        shard.Tell(question);
        var probe = await _device.NextProbeAsync(Cancel);
        shard.Tell(question);
        await shard.Ask<DeviceHoldings>(new GetHoldings(1), Cancel);

        probe.End.SetResult(new SourceRates(1e9, null));
        Assert.Equal(new SourceRates(1e9, null), _node.ExpectMsg<ShardActor.Probed>(cancellationToken: Cancel).Rates);
        shard.Tell(question);
        (await _device.NextProbeAsync(Cancel)).End.SetException(new InvalidOperationException("no disk"));

        Assert.Equal(SourceRates.Unknown, _node.ExpectMsg<ShardActor.Probed>(cancellationToken: Cancel).Rates);
    }

    private IActorRef Shard(Props? replica = null, SupervisorStrategy? supervision = null)
    {
        var props = replica ?? Props.Create(() => new Echo(_replica.Ref));
        return _node.ChildActorOf(
            Props.Create(() => new ShardActor(Device, _device, _device, command => Props.Create(
                () => new PositionActor(command, _device, _device, (_, _, _) => props, TimeProvider.System)))),
            "shard",
            supervision ?? SupervisorStrategy.DefaultStrategy,
            CancellationToken.None);
    }

    private async Task<(IActorRef Shard, IdleEngine Engine, IdleStage Stage)> RunningAsync(
        long epoch, IStepPipeline? pipeline, Props? replica = null, IActorRef? shard = null)
    {
        shard ??= Shard(replica);
        var engine = new IdleEngine(Assignment(epoch));
        shard.Tell(Prepare(epoch, predecessor: epoch - 1));
        (await _device.NextLoadAsync(Cancel)).End.SetResult(engine);
        _node.ExpectMsg<DevicePrepared>(cancellationToken: Cancel);
        var stage = new IdleStage(pipeline);
        shard.Tell(Connect(epoch));
        (await _device.NextLaunchAsync(Cancel)).End.SetResult(stage);
        _node.ExpectMsg<DeviceConnected>(cancellationToken: Cancel);
        return (shard, engine, stage);
    }

    private static StageAssignment Assignment(long epoch) => new(
        new Epoch(epoch), new Position(0, 0, 0), new LayerRange(0, 8), 1, 1, PageCount: 8, 16, 4);

    private static PreparePosition Prepare(long epoch, long? predecessor = null) => new(
        new Epoch(epoch), Device,
        PreparationOrder.FromFolder(Assignment(epoch)) with { Predecessor = predecessor is { } old ? new(old) : null },
        ImmutableDictionary<string, string>.Empty);

    private static ConnectPosition Connect(long epoch) => new(
        new Epoch(epoch),
        Device,
        ReplicaPlacement.Of(
            LayoutAssembly.InOrder(new LayoutDegrees(1, 1, 1, 4), TestModels.Small.LayerCount, [Device]), 0),
        ImmutableDictionary<string, string>.Empty,
        TestModels.Small.ContextMax,
        ImmutableDictionary<string, IActorRef>.Empty,
        Origin: null);

    private sealed class Echo : ReceiveActor
    {
        public Echo(IActorRef to) => ReceiveAny(to.Forward);
    }

    private sealed class Unmakeable : ReceiveActor
    {
        public Unmakeable() => throw new InvalidOperationException("no such pages");
    }
}
