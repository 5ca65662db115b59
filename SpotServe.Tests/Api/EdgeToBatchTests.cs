using System.Collections.Immutable;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using SpotServe.Seed.Api;
using SpotServe.Tests.Replica;
using SpotServe.Tests.Scheduling;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>From HTTP over gateway, entities and replica to the batch, in one process: what a client asks for of its
/// turn and its time is what the batch does.</summary>
public sealed class EdgeToBatchTests : PatientTestKit
{
    private static readonly Epoch Epoch = new(1);
    private static readonly string[] Clients = ["alice", "bob"];
    private readonly ManualPipeline _pipeline = new(1, SchedulerFixture.Limits().PageCount);
    private readonly IActorRef _replica;
    private readonly GenerationClient _cluster;

    public EdgeToBatchTests()
        : base("akka.persistence.journal.plugin = akka.persistence.journal.inmem")
    {
        // One at a time, so that all others wait for their turn.
        var limits = SchedulerFixture.Limits(sequences: 1);
        _replica = Sys.ActorOf(ReplicaActor.Props(Epoch, 0, limits, _pipeline, null, null), "replica");
        var (board, options) = (new ClusterBoard(), new GatewayOptions());
        IActorRef? requests = null;
        var gateway = Sys.ActorOf(Props.Create(
            () => new GatewayActor(options, TimeProvider.System, board, TestActor, () => requests!)), "gateway");
        requests = Sys.ActorOf(Props.Create(() => new Region(gateway)), "requests");
        gateway.Tell(View());
        _cluster = new GenerationClient(
            new Lazy<ControlActors>(new ControlActors(Sys, gateway, requests)), new NoJournal(), board, options,
            TimeProvider.System);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Batch_takes_clients_by_turns_and_priorities_and_never_what_was_too_late()
    {
        await using var server = await ApiServer.StartAsync(
            access: new AccessOptions { Keys = [.. Clients.Select(name => new ApiKey(HashOf(name), name))] },
            client: _cluster, vocabulary: 97);
        var first = AskAsync(server, "alice", prompt: 1);
        await _pipeline.WaitForStepAsync(Cancel);
        List<Task<HttpResponseMessage>> later = [];
        foreach (var (client, prompt, priority) in new[]
        {
            ("alice", 2, 0), ("alice", 3, 0), ("bob", 4, 0), ("alice", 5, -10),
        })
        {
            later.Add(AskAsync(server, client, prompt, priority));
            await QueuedAsync(later.Count);
        }

        // Its time is over while the only place is taken.
        using var late = await AskAsync(server, "bob", prompt: 6, timeout: 0.05);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        var running = _pipeline.RunAsync(stop.Token);
        foreach (var response in await Task.WhenAll([first, .. later])) Assert.Equal(200, (int)response.StatusCode);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);

        Assert.Equal(HttpStatusCode.RequestTimeout, late.StatusCode);
        // Five goes ahead by its priority; of the others the client that had nothing yet is next.
        Assert.Equal([1, 5, 4, 2, 3], _pipeline.Begun);
    }

    private static Task<HttpResponseMessage> AskAsync(
        ApiServer server, string client, int prompt, int priority = 0, double timeout = 600)
    {
        var body = FormattableString.Invariant(
            $$"""{"prompt": [{{prompt}}, 7, 7], "max_tokens": 3, "priority": {{priority}}, "timeout": {{timeout}}}""");
        var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = new StringContent(body, Encoding.UTF8, "application/json"),
        };
        request.Headers.Add("Authorization", $"Bearer {client}");
        return server.Client.SendAsync(request, Cancel);
    }

    /// <summary>Waits until so many requests wait at the replica.</summary>
    private async Task QueuedAsync(int count)
    {
        ReplicaControlProtocol.ReplicaLoad load;
        do
        {
            load = await _replica.Ask<ReplicaControlProtocol.ReplicaLoad>(
                new ReplicaControlProtocol.GetReplicaLoad(Epoch), Cancel);
        }
        while (load.Queued < count);
    }

    private static ImmutableArray<byte> HashOf(string key) =>
        [.. SHA256.HashData(Encoding.UTF8.GetBytes(key))];

    private ClusterProtocol.PlannerView View() => new(
        Epoch,
        PlannerPhase.Serving,
        "detail",
        TestModels.Small with { VocabularySize = 97 },
        LayoutAssembly.InOrder(new LayoutDegrees(1, 1, 1, 8), TestModels.Small.LayerCount, [new DeviceId("a", 0)]),
        Epoch,
        [new ServingReplica(0, _replica)],
        [],
        []);

    /// <summary>What the shards' region is to others: an entity for each request.</summary>
    private sealed class Region : ReceiveActor
    {
        public Region(IActorRef gateway) => Receive<RequestProtocol.IMessage>(message =>
        {
            var name = message.Id.Value;
            var child = Context.Child(name);
            if (child.IsNobody())
            {
                child = Context.ActorOf(
                    RequestEntity.Props(message.Id, new RequestOptions(), TimeProvider.System, gateway), name);
            }

            child.Forward(message);
        });
    }

    private sealed class NoJournal : IRequestJournal
    {
        public Task<ImmutableArray<RequestId>> FindOpenAsync(int max, CancellationToken cancel) =>
            Task.FromResult(ImmutableArray<RequestId>.Empty);

        public Task<bool> SweepAsync(DateTimeOffset before, CancellationToken cancel) => Task.FromResult(false);
    }
}
