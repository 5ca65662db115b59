using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Requests;

/// <summary>An entity takes routes from its gateway and tokens from the replica that it is routed to.</summary>
public sealed class RequestSendersTests : PatientTestKit
{
    private static readonly RequestId Id = new("cmpl-1");
    private static readonly Epoch Routed = new(3);
    private readonly TestProbe _gateway;
    private readonly TestProbe _replica;
    private readonly TestProbe _stranger;
    private readonly TestProbe _reader;
    private readonly IActorRef _entity;

    public RequestSendersTests()
        : base("akka.persistence.journal.plugin = akka.persistence.journal.inmem")
    {
        _gateway = CreateTestProbe("gateway");
        _replica = CreateTestProbe("replica");
        _stranger = CreateTestProbe("stranger");
        _reader = CreateTestProbe("reader");
        _entity = Sys.ActorOf(RequestEntity.Props(Id, new RequestOptions(), new ManualClock(), _gateway));
        var greedy = new GenerationParameters(8, SamplingParameters.Greedy, []);
        _entity.Tell(new Accept(Id, new GenerationSpec([1, 2], greedy)), TestActor);
        ExpectMsg<Accepted>(cancellationToken: Cancel);
        _entity.Tell(new Routed(Id, Routed, _replica), _gateway);
        _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel);
        _entity.Tell(new Subscribe(Id, 0), _reader);
    }

    public static TheoryData<object> WordsOfReplica =>
    [
        new ReplicaProtocol.TokensGenerated(Routed, Id, 0, [99], null),
        new ReplicaProtocol.TokensGenerated(Routed, Id, 0, [99], FinishReason.Stop),
        new ReplicaProtocol.Rejected(Routed, Id, "made up", Permanent: true),
        new ReplicaProtocol.Rejected(Routed, Id, "made up") { WasInLostStep = true },
        new ReplicaProtocol.AloneDue(Routed, Id),
    ];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(WordsOfReplica))]
    public void Words_of_a_replica_are_taken_from_the_one_that_the_request_is_routed_to(object madeUp)
    {
        EventFilter.Warning(contains: "is routed to").ExpectOne(() => _entity.Tell(madeUp, _stranger), Cancel);

        _entity.Tell(new ReplicaProtocol.TokensGenerated(Routed, Id, 0, [10], FinishReason.Length), _replica);

        var shown = _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);
        Assert.Equal((10, FinishReason.Length), (Assert.Single(shown.Tokens), shown.Finished));
        Assert.False(_stranger.HasMessages);
    }

    [Fact]
    public void Route_is_taken_from_the_gateway_of_the_entitys_own_process_only()
    {
        EventFilter.Warning(contains: "not the gateway").ExpectOne(
            () => _entity.Tell(new Routed(Id, new Epoch(4), _stranger), _stranger), Cancel);

        _entity.Tell(new Routed(Id, new Epoch(5), _replica), _gateway);

        _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel);
        Assert.False(_stranger.HasMessages);
    }
}
