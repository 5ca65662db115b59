using Akka.Actor;
using Akka.Hosting;
using Akka.Persistence;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpotServe.Actors.Persistence;

namespace SpotServe.Tests.Persistence;

/// <summary>A persistent actor that keeps the events it is told and reports what it recovered.</summary>
internal sealed class JournalProbe : ReceivePersistentActor
{
    private readonly List<object> _events = [];
    private IActorRef _writer = ActorRefs.Nobody;

    public JournalProbe(string persistenceId)
    {
        PersistenceId = persistenceId;
        Recover<RecoveryCompleted>(_ => { });
        RecoverAny(_events.Add);
        Command<Write>(OnWrite);
        Command<GetEvents>(_ => Sender.Tell(_events.ToArray()));
        Command<Forget>(OnForget);
    }

    public override string PersistenceId { get; }

    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr) =>
        _writer.Tell(new Status.Failure(cause));

    private void OnWrite(Write write)
    {
        var replyTo = _writer = Sender;
        Persist(write.Event, persisted =>
        {
            _events.Add(persisted);
            replyTo.Tell(new Written(LastSequenceNr));
        });
    }

    private void OnForget(Forget forget)
    {
        var replyTo = Sender;
        DeleteMessages(LastSequenceNr);
        Become(() =>
        {
            Command<DeleteMessagesSuccess>(done => replyTo.Tell(done));
            Command<DeleteMessagesFailure>(failed => replyTo.Tell(failed));
        });
    }

    public sealed record Write(object Event);

    public sealed record Written(long SequenceNr);

    public sealed record GetEvents;

    public sealed record Forget;
}

/// <summary>Actor systems with the journal, as a control node has it.</summary>
internal static class JournalSystem
{
    public static async Task<IHost> StartAsync(JournalOptions options, CancellationToken cancel)
    {
        var host = Host.CreateApplicationBuilder();
        host.Logging.ClearProviders();
        host.Services.AddAkka("journal", builder => builder
            .AddHocon("akka.loglevel = OFF, akka.stdout-loglevel = OFF", HoconAddMode.Prepend)
            .AddSpotServePersistence(options));
        var built = host.Build();
        await built.StartAsync(cancel);
        return built;
    }

    public static IActorRef Probe(IHost host, string persistenceId) => host.Services
        .GetRequiredService<ActorSystem>().ActorOf(Props.Create(() => new JournalProbe(persistenceId)));
}
