using System.Collections.Immutable;
using Akka.Actor;
using Akka.Configuration;
using Akka.Persistence;
using Akka.Persistence.Journal;
using Akka.TestKit;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Requests;

/// <summary>A request whose journal takes no writes, or gives back what nobody can read.</summary>
public sealed class RequestJournalTroubleTests : PatientTestKit
{
    private static readonly RequestId Id = new("cmpl-1");
    private static readonly GenerationParameters Greedy = new(8, SamplingParameters.Greedy, []);
    private readonly ManualClock _clock = new();
    private readonly JournalHealth _health = new();
    private readonly TestProbe _gateway;
    private readonly TestProbe _replica;

    public RequestJournalTroubleTests()
        : base(ConfigurationFactory.ParseString(
            $$"""
            akka.persistence.journal {
              plugin = "akka.persistence.journal.fickle"
              fickle.class = "{{typeof(FickleJournal).AssemblyQualifiedName}}"
            }
            """))
    {
        FickleJournal.Failure = null;
        FickleJournal.ReadFailure = null;
        _gateway = CreateTestProbe("gateway");
        _replica = CreateTestProbe("replica");
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Request_that_cannot_be_written_is_refused_at_once()
    {
        FickleJournal.Failure = "disk full";
        var entity = Sys.ActorOf(Props());

        entity.Tell(new Accept(Id, new GenerationSpec([1], Greedy)), TestActor);

        Assert.Equal("disk full", ExpectMsg<NotAccepted>(cancellationToken: Cancel).Reason);
        Assert.Equal("disk full", _health.Trouble);
    }

    [Fact]
    public void Accepted_request_whose_tokens_cannot_be_written_waits_and_goes_on_from_what_is_committed()
    {
        var first = Accepted();
        Generate(first, 0, [10]);
        AwaitAssert(
            () => Assert.Equal(1, Described(first).TokenCount),
            cancellationToken: TestContext.Current.CancellationToken);
        _gateway.ExpectMsg<Begun>(cancellationToken: Cancel);
        FickleJournal.Failure = "disk full";
        Watch(first);

        Generate(first, 1, [11]);
        ExpectTerminated(first, cancellationToken: Cancel);
        var second = Sys.ActorOf(Props());
        Assert.Equal(1, Described(second).TokenCount);
        _gateway.ExpectNoMsg(TimeSpan.FromMilliseconds(200), Cancel);
        FickleJournal.Failure = null;
        _health.Worked();

        _gateway.ExpectMsg<Route>(cancellationToken: Cancel);
        second.Tell(new Routed(Id, new Epoch(1), _replica), _gateway);
        Assert.Equal([10], _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel).Request.Committed);
    }

    [Fact]
    public void Damaged_request_is_told_with_what_to_do_and_is_no_trouble_of_the_journal()
    {
        var first = Accepted();
        Watch(first);
        Sys.Stop(first);
        ExpectTerminated(first, cancellationToken: Cancel);
        FickleJournal.ReadFailure = new JournalFormatException("Journal entry 'request-accepted.2' is damaged.");
        var entity = Sys.ActorOf(Props());
        Watch(entity);

        ExpectTerminated(entity, cancellationToken: Cancel);

        var damage = Assert.Single(_health.Damages);
        Assert.Contains("request-accepted.2", damage, StringComparison.Ordinal);
        Assert.Contains("persistence_id = 'request-cmpl-1'", damage, StringComparison.Ordinal);
        Assert.Null(_health.Trouble);
    }

    private Props Props() => RequestEntity.Props(
        Id,
        new RequestOptions { Journal = _health, JournalRetry = TimeSpan.FromMilliseconds(20) },
        _clock,
        _gateway);

    private IActorRef Accepted()
    {
        var entity = Sys.ActorOf(Props());
        entity.Tell(new Accept(Id, new GenerationSpec([1], Greedy)), TestActor);
        ExpectMsg<Accepted>(cancellationToken: Cancel);
        _gateway.ExpectMsg<Route>(cancellationToken: Cancel);
        entity.Tell(new Routed(Id, new Epoch(1), _replica), _gateway);
        _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel);
        return entity;
    }

    private Described Described(IActorRef entity)
    {
        var probe = CreateTestProbe();
        entity.Tell(new Describe(Id), probe);
        return probe.ExpectMsg<Described>(cancellationToken: Cancel);
    }

    private void Generate(IActorRef entity, int firstIndex, ImmutableArray<int> tokens) => entity.Tell(
        new ReplicaProtocol.TokensGenerated(new Epoch(1), Id, firstIndex, tokens, null), _replica);

    /// <summary>A journal in memory that fails at will. The tests of a class run one after the other.</summary>
    private sealed class FickleJournal : MemoryJournal
    {
        public static string? Failure { get; set; }

        public static Exception? ReadFailure { get; set; }

        protected override Task<IImmutableList<Exception>> WriteMessagesAsync(
            IEnumerable<AtomicWrite> messages, CancellationToken cancellationToken) =>
            Failure is { } why ? throw new IOException(why) : base.WriteMessagesAsync(messages, cancellationToken);

        public override Task ReplayMessagesAsync(
            IActorContext context, string persistenceId, long fromSequenceNr, long toSequenceNr, long max,
            Action<IPersistentRepresentation> recoveryCallback) => ReadFailure is { } error
                ? throw error
                : base.ReplayMessagesAsync(
                    context, persistenceId, fromSequenceNr, toSequenceNr, max, recoveryCallback);
    }
}
