using System.Collections.Immutable;
using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Planning;
using SpotServe.Tests.Fragments;
using Xunit;
using static SpotServe.Actors.Gateway.GatewayProtocol;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Gateway;

public sealed class GatewayActorTests : PatientTestKit
{
    private static readonly GenerationParameters Greedy = new(8, SamplingParameters.Greedy, []);
    private readonly ManualClock _clock = new();
    private readonly TestProbe _planner;
    private readonly TestProbe _requests;
    private readonly TestProbe _client;
    private readonly TestProbe[] _replicas;

    public GatewayActorTests()
        : base("""akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """)
    {
        _planner = CreateTestProbe("planner");
        _requests = CreateTestProbe("requests");
        _client = CreateTestProbe("client");
        _replicas = [CreateTestProbe("replica-0"), CreateTestProbe("replica-1")];
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Request_is_admitted_once_its_entity_has_accepted_it()
    {
        var gateway = Serving();

        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1, 2], Greedy)), _client);
        var accept = _requests.ExpectMsg<Accept>(cancellationToken: Cancel);
        Assert.False(_client.HasMessages);
        gateway.Tell(new Accepted(accept.Id, _clock.GetUtcNow()), _requests);

        Assert.Equal(accept.Id, _client.ExpectMsg<Admission.Accepted>(cancellationToken: Cancel).Id);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    public void Prompt_with_a_token_that_the_model_does_not_have_is_refused_by_its_id(int token)
    {
        var gateway = Serving();

        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1, token], Greedy)), _client);

        var refused = _client.ExpectMsg<Admission.Refused>(cancellationToken: Cancel);
        Assert.Contains($"token id {token} is outside the model's", refused.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Long_prompt_goes_straight_to_its_entity_once_that_says_where_it_is()
    {
        var gateway = Serving(context: 200_000);
        var entity = CreateTestProbe("entity");
        ImmutableArray<int> prompt = [.. Enumerable.Range(20_000, 120_000)];

        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec(prompt, Greedy)), _client);
        var locate = _requests.ExpectMsg<Locate>(cancellationToken: Cancel);
        gateway.Tell(new Located(locate.Id), entity);
        gateway.Tell(new Located(locate.Id), entity);

        Assert.Equal(prompt, entity.ExpectMsg<Accept>(cancellationToken: Cancel).Spec.Prompt);
        Assert.False(entity.HasMessages);
        gateway.Tell(new Accepted(locate.Id, _clock.GetUtcNow()), entity);
        Assert.Equal(locate.Id, _client.ExpectMsg<Admission.Accepted>(cancellationToken: Cancel).Id);
    }

    [Fact]
    public void What_could_never_be_sent_to_a_replica_is_refused_with_the_number()
    {
        var gateway = Serving(new GatewayOptions { TokensMax = 1_000 }, context: 200_000);

        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([.. new int[993]], Greedy)), _client);

        var refused = _client.ExpectMsg<Admission.Refused>(cancellationToken: Cancel);
        Assert.Contains("993 tokens and 8 more", refused.Reason, StringComparison.Ordinal);
        Assert.Contains("1,000 together", refused.Reason, StringComparison.Ordinal);
        Assert.False(_requests.HasMessages);
    }

    [Fact]
    public void Request_that_cannot_be_sent_to_its_entity_is_refused_and_counts_as_open_no_more()
    {
        RefusingPost.InstallIn(Sys, message => message is Accept);
        var gateway = Serving(new GatewayOptions { OpenRequestsMax = 1 });
        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);
        var locate = _requests.ExpectMsg<Locate>(cancellationToken: Cancel);

        gateway.Tell(new Located(locate.Id), _requests);

        var refused = _client.ExpectMsg<Admission.Refused>(cancellationToken: Cancel);
        Assert.Contains("17,000,000 bytes", refused.Reason, StringComparison.Ordinal);
        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);
        _requests.ExpectMsg<Locate>(cancellationToken: Cancel);
    }

    [Fact]
    public void Open_requests_beyond_the_bound_are_answered_busy_until_one_ends()
    {
        var gateway = Serving(new GatewayOptions { OpenRequestsMax = 2 });
        Route(gateway, "a");
        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);
        _requests.ExpectMsg<Accept>(cancellationToken: Cancel);

        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);
        var busy = _client.ExpectMsg<Admission.Busy>(cancellationToken: Cancel);
        gateway.Tell(new RouteEnded(new RequestId("a")));
        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);

        Assert.Contains("2", busy.Reason, StringComparison.Ordinal);
        _requests.ExpectMsg<Accept>(cancellationToken: Cancel);
    }

    [Fact]
    public void Busy_gateway_says_to_wait_as_long_as_one_request_takes_to_end()
    {
        var gateway = Serving(new GatewayOptions { OpenRequestsMax = 3 });
        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);
        _requests.ExpectMsg<Accept>(cancellationToken: Cancel);
        string[] before = ["a", "b"], after = ["c", "d"];
        foreach (var id in before) Route(gateway, id);
        _clock.Advance(TimeSpan.FromSeconds(8));
        foreach (var id in before) gateway.Tell(new RouteEnded(new RequestId(id)));
        foreach (var id in after) Route(gateway, id);

        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);

        var busy = _client.ExpectMsg<Admission.Busy>(cancellationToken: Cancel);
        Assert.Equal(TimeSpan.FromSeconds(4), busy.RetryAfter);
    }

    [Fact]
    public void Tokens_that_wait_beyond_the_bound_are_answered_busy_for_as_long_as_they_take_to_go()
    {
        var gateway = Serving(new GatewayOptions { WaitingTokensMax = 30 });   // a request has 2 and 8
        var first = Ask(gateway, "a");
        var second = Ask(gateway, "b");
        Ask(gateway, "c");
        gateway.Tell(new Generate(Spec("d")), _client);
        Assert.Contains("30", _client.ExpectMsg<Admission.Busy>(cancellationToken: Cancel).Reason);

        _clock.Advance(TimeSpan.FromSeconds(8));
        gateway.Tell(new Begun(first));
        gateway.Tell(new Begun(first));
        gateway.Tell(new Begun(second));
        Ask(gateway, "d");
        Ask(gateway, "e");
        gateway.Tell(new Generate(Spec("f")), _client);

        // Twenty went in eight seconds, and ten are too many.
        var busy = _client.ExpectMsg<Admission.Busy>(cancellationToken: Cancel);
        Assert.Equal(TimeSpan.FromSeconds(4), busy.RetryAfter);
    }

    [Fact]
    public void Client_with_its_share_is_answered_busy_while_others_get_in()
    {
        var gateway = Serving(new GatewayOptions { OpenRequestsMax = 16 });
        for (var i = 0; i < 14; i++) Ask(gateway, "greedy");

        gateway.Tell(new Generate(Spec("greedy")), _client);
        var busy = _client.ExpectMsg<Admission.Busy>(cancellationToken: Cancel);
        Ask(gateway, "modest");
        Ask(gateway, "other");

        Assert.Contains("You have 14 of the 16", busy.Reason, StringComparison.Ordinal);
        gateway.Tell(new Generate(Spec("third")), _client);
        Assert.Contains("16 requests are open", _client.ExpectMsg<Admission.Busy>(cancellationToken: Cancel).Reason);
    }

    [Fact]
    public void Request_that_moved_here_counts_as_its_client_s()
    {
        var gateway = Serving(new GatewayOptions { OpenRequestsMax = 9 });
        for (var i = 0; i < 8; i++)
        {
            var route = new Route(new RequestId($"r{i}"), Epoch.None) { Standing = new Standing("greedy") };
            gateway.Tell(route, CreateTestProbe());
        }

        gateway.Tell(new Generate(Spec("greedy")), _client);

        Assert.Contains("You have 8 of the 9", _client.ExpectMsg<Admission.Busy>(cancellationToken: Cancel).Reason);
        Ask(gateway, "modest");
    }

    [Fact]
    public void Full_gateway_says_that_nothing_serves_when_that_is_why()
    {
        var gateway = Gateway(new GatewayOptions { OpenRequestsMax = 1 });
        Ask(gateway, "a");

        gateway.Tell(new Generate(Spec("b")), _client);

        var answer = _client.ExpectMsg<Admission.Unavailable>(cancellationToken: Cancel);
        Assert.StartsWith("No layout serves, and 1 requests are open", answer.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Entity_that_stops_makes_room_for_another_request()
    {
        var gateway = Serving(new GatewayOptions { OpenRequestsMax = 1 });
        var (entity, _) = Route(gateway, "a");
        Watch(entity);
        Sys.Stop(entity);
        ExpectTerminated(entity, cancellationToken: Cancel);

        AwaitAssert(
            () =>
            {
                gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);
                _requests.ExpectMsg<Accept>(TimeSpan.FromMilliseconds(200), cancellationToken: Cancel);
            },
            cancellationToken: Cancel);
    }

    [Fact]
    public void Prompt_that_fills_the_context_is_refused_with_both_numbers()
    {
        var gateway = Serving();
        var prompt = Enumerable.Repeat(1, TestModels.Small.ContextMax).ToImmutableArray();

        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec(prompt, Greedy)), _client);

        var refused = _client.ExpectMsg<Admission.Refused>(cancellationToken: Cancel);
        Assert.Contains("256", refused.Reason, StringComparison.Ordinal);
        Assert.False(_requests.HasMessages);
    }

    [Fact]
    public void Requests_are_taken_without_a_layout_for_a_while_and_then_answered_unavailable()
    {
        var gateway = Gateway(new GatewayOptions { UnservedMax = TimeSpan.FromSeconds(5) });
        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);
        _requests.ExpectMsg<Accept>(cancellationToken: Cancel);

        _clock.Advance(TimeSpan.FromSeconds(6));
        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);

        _client.ExpectMsg<Admission.Unavailable>(cancellationToken: Cancel);
    }

    [Fact]
    public void Request_that_the_journal_does_not_take_is_answered_unavailable_and_cancelled()
    {
        var gateway = Serving();
        gateway.Tell(new GatewayProtocol.Generate(new GenerationSpec([1], Greedy)), _client);
        var accept = _requests.ExpectMsg<Accept>(cancellationToken: Cancel);

        _clock.Advance(TimeSpan.FromSeconds(11));
        ((TestScheduler)Sys.Scheduler).Advance(TimeSpan.FromSeconds(1));

        _client.ExpectMsg<Admission.Unavailable>(cancellationToken: Cancel);
        Assert.Equal(accept.Id, _requests.ExpectMsg<CancelRequest>(cancellationToken: Cancel).Id);
    }

    [Fact]
    public void Requests_go_to_the_least_loaded_replica_and_stay_there()
    {
        var gateway = Serving();

        var routed = Enumerable.Range(0, 4).Select(i => Route(gateway, $"r{i}").Routed.Replica).ToArray();
        gateway.Tell(new RouteEnded(new RequestId("r0")));
        var (entity, next) = Route(gateway, "r4");
        gateway.Tell(new Route(new RequestId("r4"), new Epoch(1)), entity);

        Assert.Equal([_replicas[0].Ref, _replicas[1].Ref, _replicas[0].Ref, _replicas[1].Ref], routed);
        Assert.Equal(_replicas[0].Ref, next.Replica);
        Assert.Equal(next, entity.ExpectMsg<Routed>(cancellationToken: Cancel));
    }

    [Fact]
    public void Open_requests_are_routed_anew_when_a_newer_epoch_serves_and_never_to_an_older_one()
    {
        var gateway = Serving();
        var (entity, _) = Route(gateway, "a");

        gateway.Tell(View(1, PlannerPhase.Gathering));
        gateway.Tell(View(2, PlannerPhase.Serving, _replicas[1]));
        gateway.Tell(View(1, PlannerPhase.Serving, _replicas[0]));
        gateway.Tell(new Route(new RequestId("a"), new Epoch(2)), entity);

        for (var i = 0; i < 2; i++)
        {
            var routed = entity.ExpectMsg<Routed>(cancellationToken: Cancel);
            Assert.Equal((new Epoch(2), _replicas[1].Ref), (routed.Epoch, routed.Replica));
        }
    }

    [Fact]
    public void Request_that_asks_while_nothing_serves_is_routed_when_something_does()
    {
        var gateway = Gateway(new GatewayOptions());
        var entity = CreateTestProbe();
        gateway.Tell(new Route(new RequestId("a"), Epoch.None), entity);

        gateway.Tell(View(1, PlannerPhase.Serving, _replicas[0]));

        Assert.Equal(_replicas[0].Ref, entity.ExpectMsg<Routed>(cancellationToken: Cancel).Replica);
    }

    [Fact]
    public void View_of_a_planner_that_was_replaced_is_ignored_whatever_its_epoch()
    {
        var gateway = Serving();
        gateway.Tell(View(1, PlannerPhase.Serving, _replicas[1]) with { Term = 2 });

        gateway.Tell(View(9, PlannerPhase.Serving, _replicas[0]) with { Term = 1 });

        var routed = Route(gateway, "a").Routed;
        Assert.Equal((new Epoch(1), _replicas[1].Ref), (routed.Epoch, routed.Replica));
    }

    private IActorRef Gateway(GatewayOptions options) => Sys.ActorOf(Props.Create(() => new GatewayActor(
        options, _clock, new ClusterBoard(), _planner.Ref, () => _requests.Ref)));

    private IActorRef Serving(GatewayOptions? options = null, int? context = null)
    {
        var gateway = Gateway(options ?? new GatewayOptions());
        var view = View(1, PlannerPhase.Serving, _replicas);
        var model = view.Model! with { ContextMax = context ?? view.Model.ContextMax };
        gateway.Tell(view with { Model = model with { VocabularySize = context ?? model.VocabularySize } });
        return gateway;
    }

    private static GenerationSpec Spec(string client) => new([1, 2], Greedy) { Standing = new Standing(client) };

    /// <summary>Has a request let in; it is not in the journal yet.</summary>
    private RequestId Ask(IActorRef gateway, string client)
    {
        gateway.Tell(new Generate(Spec(client)), _client);
        return _requests.ExpectMsg<Accept>(cancellationToken: Cancel).Id;
    }

    private (TestProbe Entity, Routed Routed) Route(IActorRef gateway, string id)
    {
        var entity = CreateTestProbe();
        gateway.Tell(new Route(new RequestId(id), Epoch.None), entity);
        return (entity, entity.ExpectMsg<Routed>(cancellationToken: Cancel));
    }

    private static ClusterProtocol.PlannerView View(long epoch, PlannerPhase phase, params TestProbe[] replicas) => new(
        new Epoch(epoch),
        phase,
        "detail",
        TestModels.Small,
        LayoutAssembly.InOrder(new LayoutDegrees(1, 1, 1, 8), TestModels.Small.LayerCount, [new DeviceId("a", 0)]),
        new Epoch(epoch),
        [.. replicas.Select((replica, index) => new ServingReplica(index, replica.Ref))],
        [],
        []);
}
