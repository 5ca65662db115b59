using Akka.Actor;
using Akka.Cluster.Sharding;
using Microsoft.Extensions.DependencyInjection;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Persistence;

/// <summary>One row of a request in a real database is damaged: whoever asks for the request is told at once, with the
/// row, and the others go on.</summary>
public sealed class DamagedRequestTests
{
    private const int Rows = 4;   // accepted, three times tokens
    private static readonly RequestId Damaged = new("cmpl-damaged");
    private static readonly RequestId Other = new("cmpl-other");
    private static readonly TimeSpan Limit = Waits.Max;
    private readonly JournalHealth _health = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("sqlite")]
    [InlineData("postgres")]
    public async Task Damaged_request_is_said_to_be_lost_by_its_row_and_the_others_go_on(string kind)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);
        using var host = await JournalSystem.StartAsync(database.Options, Cancel);
        var cases = JournalDamage.All.SelectMany(damage => Enumerable.Range(1, Rows).Select(row => (damage, row)));
        foreach (var (damage, row) in cases)
        {
            var id = new RequestId($"{Damaged.Value}-{damage.Name.Replace(' ', '-')}-{row}");
            var client = Client(host.Services.GetRequiredService<ActorSystem>(), database, out var requests);
            await WriteAsync(requests, id);
            await WriteAsync(requests, new RequestId($"{Other.Value}-{id.Value}"));
            await requests.GracefulStop(Limit);
            await damage.DoAsync(database, $"request-{id.Value}", row);

            client = Client(host.Services.GetRequiredService<ActorSystem>(), database, out requests);
            var error = await Assert.ThrowsAsync<RequestDamagedException>(() => client.DescribeAsync(id, Cancel));
            var read = await ReadAsync(client, id);

            Assert.Contains(
                $"'request-{id.Value}' and sequence_number {row} ", error.Message, StringComparison.Ordinal);
            Assert.Equal(Enumerable.Range(0, Math.Max(0, row - 2)), read.SelectMany(batch => batch.Tokens));
            Assert.Equal((FinishReason.Failed, error.Message), (read[^1].Finished, read[^1].Error));
            var other = await client.DescribeAsync(new RequestId($"{Other.Value}-{id.Value}"), Cancel);
            Assert.Equal(Rows - 1, other.TokenCount);
            Assert.Equal(FinishReason.Failed, await client.CancelAsync(id, Cancel));
            await Assert.ThrowsAsync<RequestUnknownException>(() => client.DescribeAsync(id, Cancel));
            await requests.GracefulStop(Limit);
        }

        Assert.Null(_health.Trouble);
        Assert.All(_health.Damages, line => Assert.Contains("DELETE /v1/requests/", line, StringComparison.Ordinal));
        await host.StopAsync(Cancel);
    }

    [Fact]
    public async Task Rows_that_contradict_each_other_are_damage_too()
    {
        await using var database = await JournalDatabase.CreateAsync("sqlite");
        using var host = await JournalSystem.StartAsync(database.Options, Cancel);
        _ = Client(host.Services.GetRequiredService<ActorSystem>(), database, out var requests);
        await WriteAsync(requests, Damaged);
        await requests.GracefulStop(Limit);
        await database.QueryAsync(
            $"DELETE FROM journal WHERE persistence_id = 'request-{Damaged.Value}' AND sequence_number = 3");

        var client = Client(host.Services.GetRequiredService<ActorSystem>(), database, out _);
        var error = await Assert.ThrowsAsync<RequestDamagedException>(() => client.DescribeAsync(Damaged, Cancel));

        Assert.Contains("sequence_number 4 ", error.Message, StringComparison.Ordinal);
        await host.StopAsync(Cancel);
    }

    private static async Task<List<TokenBatch>> ReadAsync(GenerationClient client, RequestId id)
    {
        var read = new List<TokenBatch>();
        await foreach (var batch in client.StreamAsync(id, 0, Cancel)) read.Add(batch);
        return read;
    }

    private GenerationClient Client(ActorSystem system, JournalDatabase database, out IActorRef requests)
    {
        var gateway = system.ActorOf(Props.Empty);
        var region = requests = system.ActorOf(Props.Create(() => new Region(gateway, _health)));
        return new GenerationClient(
            new Lazy<ControlActors>(new ControlActors(system, gateway, region)),
            new RequestJournal(database.Options), new ClusterBoard(), new GatewayOptions { Journal = _health },
            TimeProvider.System);
    }

    /// <summary>Accepts a request and commits three tokens, each in a row of its own.</summary>
    private static async Task WriteAsync(IActorRef requests, RequestId id)
    {
        var greedy = new GenerationParameters(8, SamplingParameters.Greedy, []);
        await requests.Ask<Accepted>(new Accept(id, new GenerationSpec([1, 2, 3], greedy)), Limit, Cancel);
        for (var i = 0; i < Rows - 1; i++)
            await requests.Ask<TokensAvailable>(new Region.Generate(id, i), Limit, Cancel);
    }

    /// <summary>Where requests' entities live, and the replica that generates for them.</summary>
    private sealed class Region : ReceiveActor
    {
        private readonly IActorRef _gateway;
        private readonly JournalHealth _health;

        public Region(IActorRef gateway, JournalHealth health)
        {
            (_gateway, _health) = (gateway, health);
            Receive<Passivate>(passivate => Sender.Tell(passivate.StopMessage));
            Receive<Generate>(OnGenerate);
            Receive<IMessage>(message => EntityOf(message.Id).Forward(message));
            ReceiveAny(_ => { });
        }

        private void OnGenerate(Generate command)
        {
            var entity = EntityOf(command.Id);
            entity.Tell(new Routed(command.Id, new Epoch(1), Self), _gateway);
            var generated = new ReplicaProtocol.TokensGenerated(
                new Epoch(1), command.Id, command.Index, [command.Index], null);
            entity.Tell(generated, Self);
            entity.Tell(new Subscribe(command.Id, command.Index), Sender);
        }

        private IActorRef EntityOf(RequestId id)
        {
            var known = Context.Child(id.Value);
            return known.IsNobody()
                ? Context.ActorOf(
                    RequestEntity.Props(
                        id, new RequestOptions { Journal = _health }, TimeProvider.System, _gateway), id.Value)
                : known;
        }

        public sealed record Generate(RequestId Id, int Index);
    }
}
