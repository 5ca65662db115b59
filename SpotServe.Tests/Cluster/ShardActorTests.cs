using System.Collections.Immutable;
using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Tests.Replica;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;
using static SpotServe.Actors.Replica.ReplicaControlProtocol;

namespace SpotServe.Tests.Cluster;

public sealed class ShardActorTests : TestKit
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
    public async Task Position_is_loaded_connected_and_its_replica_announced()
    {
        var (shard, _, _) = await RunningAsync(1, new ManualPipeline(1, 8));

        var started = _node.ExpectMsg<ReplicaStarted>(cancellationToken: Cancel);
        started.ReplicaActor.Tell("hello");

        Assert.Equal((new Epoch(1), 0), (started.Epoch, started.Replica));
        Assert.Equal("hello", _replica.ExpectMsg<string>(cancellationToken: Cancel));
        Assert.Equal(shard.Path, started.ReplicaActor.Path.Parent);
    }

    [Fact]
    public async Task Newer_epoch_drops_what_the_older_one_had_once_its_thread_has_ended()
    {
        var (shard, engine, stage) = await RunningAsync(1, pipeline: null);

        shard.Tell(Load(2));
        await _device.NextLoadAsync(Cancel);
        await stage.Disposed.WaitAsync(Cancel);
        Assert.False(engine.Disposed.IsCompleted);
        stage.ThreadEnd.SetResult();

        await engine.Disposed.WaitAsync(Cancel);
    }

    [Fact]
    public async Task Engine_of_an_older_epoch_is_disposed_of_when_it_arrives_late()
    {
        var shard = Shard();
        shard.Tell(Load(1));
        var late = await _device.NextLoadAsync(Cancel);
        shard.Tell(Load(2));
        var current = await _device.NextLoadAsync(Cancel);
        var engine = new IdleEngine(Assignment(1));

        late.End.SetResult(engine);
        await engine.Disposed.WaitAsync(Cancel);
        current.End.SetResult(new IdleEngine(Assignment(2)));

        Assert.True(late.Cancel.IsCancellationRequested);
        Assert.Equal(new Epoch(2), _node.ExpectMsg<DeviceLoaded>(cancellationToken: Cancel).Epoch);
    }

    [Fact]
    public async Task Stage_of_an_older_epoch_is_disposed_of_when_it_arrives_late()
    {
        var (shard, _) = await LoadedAsync(1);
        shard.Tell(Connect(1));
        var late = await _device.NextLaunchAsync(Cancel);
        shard.Tell(new ReleasePosition(new Epoch(2), Device));
        var stage = new IdleStage(pipeline: null);

        late.End.SetResult(stage);

        await stage.Disposed.WaitAsync(Cancel);
    }

    [Fact]
    public async Task Position_of_an_older_epoch_is_ignored()
    {
        var (shard, _) = await LoadedAsync(2);

        shard.Tell(Load(1));
        shard.Tell(new ReleasePosition(new Epoch(1), Device));
        shard.Tell(Connect(2));

        await _device.NextLaunchAsync(Cancel);
    }

    [Fact]
    public async Task Load_that_fails_is_reported_with_its_reason()
    {
        var shard = Shard();
        shard.Tell(Load(1));

        (await _device.NextLoadAsync(Cancel)).End.SetException(new ModelFormatException("no tensor q"));

        var failed = _node.ExpectMsg<DeviceFailed>(cancellationToken: Cancel);
        Assert.Equal(new Epoch(1), failed.Epoch);
        Assert.Contains("no tensor q", failed.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Replica_that_loses_its_pipeline_is_reported_once()
    {
        var (shard, _, stage) = await RunningAsync(1, new ManualPipeline(1, 8));
        _node.ExpectMsg<ReplicaStarted>(cancellationToken: Cancel);

        shard.Tell(new ReplicaLost(new Epoch(1), 0, "rank 1 is gone"));

        var failed = _node.ExpectMsg<DeviceFailed>(cancellationToken: Cancel);
        Assert.Contains("rank 1 is gone", failed.Reason, StringComparison.Ordinal);
        await stage.Disposed.WaitAsync(Cancel);
        shard.Tell(new ReplicaLost(new Epoch(1), 0, "again"));
        shard.Tell(Load(2));
        (await _device.NextLoadAsync(Cancel)).End.SetResult(new IdleEngine(Assignment(2)));
        _node.FishForMessage<DeviceLoaded>(
            loaded => loaded.Epoch == new Epoch(2), cancellationToken: Cancel);
    }

    [Fact]
    public async Task Replica_actor_that_cannot_be_made_is_reported()
    {
        await RunningAsync(1, new ManualPipeline(1, 8), Props.Create(() => new Unmakeable()));

        var failed = _node.FishForMessage<DeviceFailed>(_ => true, cancellationToken: Cancel);

        Assert.Contains("replica actor", failed.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Load_of_the_replica_reaches_the_node_only_while_it_is_current()
    {
        var (shard, _, _) = await RunningAsync(2, new ManualPipeline(1, 8));
        _node.ExpectMsg<ReplicaStarted>(cancellationToken: Cancel);

        shard.Tell(new ReplicaLoad(new Epoch(1), 0, 0, 0, 1, 8, 8, 1, 1, 0));
        shard.Tell(new ReplicaLoad(new Epoch(2), 0, 0, 0, 1, 8, 8, 1, 1, 0));

        Assert.Equal(new Epoch(2), _node.ExpectMsg<ReplicaLoad>(cancellationToken: Cancel).Epoch);
    }

    private IActorRef Shard(Props? replica = null)
    {
        var props = replica ?? Props.Create(() => new Echo(_replica.Ref));
        return _node.ChildActorOf(
            Props.Create(() => new ShardActor(Device, _device, _device, (_, _, _) => props)),
            "shard",
            SupervisorStrategy.DefaultStrategy,
            CancellationToken.None);
    }

    private async Task<(IActorRef Shard, IdleEngine Engine)> LoadedAsync(long epoch, Props? replica = null)
    {
        var shard = Shard(replica);
        var engine = new IdleEngine(Assignment(epoch));
        shard.Tell(Load(epoch));
        (await _device.NextLoadAsync(Cancel)).End.SetResult(engine);
        _node.ExpectMsg<DeviceLoaded>(cancellationToken: Cancel);
        return (shard, engine);
    }

    private async Task<(IActorRef Shard, IdleEngine Engine, IdleStage Stage)> RunningAsync(
        long epoch, IStepPipeline? pipeline, Props? replica = null)
    {
        var (shard, engine) = await LoadedAsync(epoch, replica);
        var stage = new IdleStage(pipeline);
        shard.Tell(Connect(epoch));
        (await _device.NextLaunchAsync(Cancel)).End.SetResult(stage);
        _node.ExpectMsg<DeviceConnected>(cancellationToken: Cancel);
        return (shard, engine, stage);
    }

    private static StageAssignment Assignment(long epoch) => new(
        new Epoch(epoch), new Position(0, 0, 0), new LayerRange(0, 8), 1, 1, PageCount: 8, 16, 4);

    private static LoadPosition Load(long epoch) => new(new Epoch(epoch), Device, Assignment(epoch));

    private static ConnectPosition Connect(long epoch) => new(
        new Epoch(epoch),
        Device,
        LayoutAssembly.InOrder(new LayoutDegrees(1, 1, 1, 4), TestModels.Small.LayerCount, [Device]),
        ImmutableDictionary<string, string>.Empty,
        TestModels.Small.ContextMax);

    private sealed class Echo : ReceiveActor
    {
        public Echo(IActorRef to) => ReceiveAny(to.Forward);
    }

    private sealed class Unmakeable : ReceiveActor
    {
        public Unmakeable() => throw new InvalidOperationException("no such pages");
    }
}
