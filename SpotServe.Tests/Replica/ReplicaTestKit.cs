using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Scheduling;
using SpotServe.Tests.Scheduling;
using Xunit;

namespace SpotServe.Tests.Replica;

/// <summary>A replica under a probe as its parent, on virtual time, over a pipeline that the test drives.</summary>
public abstract class ReplicaTestKit : PatientTestKit
{
    private const string VirtualTime =
        """akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """;

    protected static readonly Epoch Epoch = new(7);

    protected ReplicaTestKit()
        : base(VirtualTime)
    {
        Parent = CreateTestProbe("parent");
        Entity = CreateTestProbe("entity");
        Limits = SchedulerFixture.Limits();
    }

    protected static CancellationToken Cancel => TestContext.Current.CancellationToken;

    protected TestProbe Parent { get; }

    protected TestProbe Entity { get; }

    protected SchedulerLimits Limits { get; set; }

    internal ManualPipeline Pipeline { get; private set; } = null!;

    protected IActorRef Replica { get; private set; } = null!;

    protected TestScheduler Time => (TestScheduler)Sys.Scheduler;

    private protected void Start(ReplicaSettings? settings = null, IReadOnlyList<int>? expects = null)
    {
        Pipeline = new ManualPipeline(Limits.StepsInFlightMax, Limits.PageCount);
        Replica = Parent.ChildActorOf(
            ReplicaActor.Props(Epoch, 3, Limits, Pipeline, settings, expects),
            "replica",
            SupervisorStrategy.DefaultStrategy,
            CancellationToken.None);
    }

    private protected static ReplicaProtocol.Submit Submit(GenerationRequest request, params int[] committed) =>
        new(Epoch, request with { Committed = [.. committed] });

    protected void Submit(GenerationRequest request, TestProbe from, params int[] committed) =>
        Replica.Tell(Submit(request, committed), from.Ref);

    private protected static async Task<ReplicaProtocol.TokensGenerated> TokensAsync(TestProbe probe) =>
        await probe.ExpectMsgAsync<ReplicaProtocol.TokensGenerated>(cancellationToken: Cancel);

    protected async Task<ReplicaControlProtocol.ReplicaLoad> LoadAsync()
    {
        var asker = CreateTestProbe();
        Replica.Tell(new ReplicaControlProtocol.GetReplicaLoad(Epoch), asker.Ref);
        return await asker.ExpectMsgAsync<ReplicaControlProtocol.ReplicaLoad>(cancellationToken: Cancel);
    }

    /// <summary>Reads a request's tokens until it finishes, checking their indices.</summary>
    protected static async Task<(List<int> Tokens, FinishReason Reason)> ReadToEndAsync(TestProbe probe, int from = 0)
    {
        List<int> tokens = [];
        while (true)
        {
            var message = await TokensAsync(probe);
            Assert.Equal(from + tokens.Count, message.FirstIndex);
            tokens.AddRange(message.Tokens);
            if (message.Finished is { } reason) return (tokens, reason);
        }
    }

    /// <summary>Lets a timer's period pass, tick by tick: one large advance fires a repeating timer once.</summary>
    protected void Advance(int seconds)
    {
        for (var i = 0; i < seconds; i++) Time.Advance(TimeSpan.FromSeconds(1));
    }
}
