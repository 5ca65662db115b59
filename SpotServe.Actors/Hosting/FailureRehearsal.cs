using System.Net.Sockets;
using Akka.Actor;
using Akka.Hosting;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// Has an actor fail once, and its failure written out, where nobody waits for it. The first exception of a process
/// takes 11 ms on an idle machine, its text 40 ms more and the first one of a task 10 (45 and 120 beside other work;
/// CPU machine of docs/performance.md): code is compiled and the runtime's reader of stack traces loaded. Without this
/// it would be the loss of a machine that pays for it, in all processes at once, while requests wait for the next
/// layout.
/// </summary>
internal sealed class FailureRehearsal : ReceiveActor, IWithTimers
{
    /// <summary>The start of a process is over then, on two cores that five of them share, too.</summary>
    public static readonly TimeSpan Delay = TimeSpan.FromSeconds(15);

    private readonly TimeSpan _delay;

    /// <param name="rehearsed">Called with the text of the failure.</param>
    public FailureRehearsal(TimeSpan delay, Action<string> rehearsed)
    {
        _delay = delay;
        Receive<Rehearse>(_ =>
        {
            MessageRehearsal.Go(Context.System);
            Context.Watch(Context.ActorOf(Akka.Actor.Props.Create(() => new Failing(rehearsed))))
                .Tell(Rehearse.Instance);
        });
        Receive<Terminated>(_ => Context.Stop(Self));
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(TimeSpan delay, Action<string> rehearsed) =>
        Akka.Actor.Props.Create(() => new FailureRehearsal(delay, rehearsed));

    protected override void PreStart() => Timers.StartSingleTimer(nameof(Rehearse), Rehearse.Instance, _delay);

    // What is rehearsed is no news: the log stays as it is.
    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(
        maxNrOfRetries: 0, withinTimeMilliseconds: 0, _ => Directive.Stop, loggingEnabled: false);

    private sealed class Failing : ReceiveActor
    {
        public Failing(Action<string> rehearsed)
        {
            Receive<Rehearse>(_ => LoseLinkAsync().PipeTo(Self));
            Receive<Status.Failure>(failed =>
            {
                rehearsed(failed.Cause.ToString());
                throw new InvalidOperationException("A rehearsed failure.", failed.Cause);
            });
        }

        private static async Task LoseLinkAsync()
        {
            await Task.Yield();
            throw new IOException("A rehearsed loss.", new SocketException((int)SocketError.ConnectionReset));
        }
    }

    private sealed record Rehearse : INoSerializationVerificationNeeded
    {
        public static Rehearse Instance { get; } = new();
    }
}

/// <summary>Adds the rehearsal to what a process runs.</summary>
internal static class FailureRehearsals
{
    public static AkkaConfigurationBuilder AddFailureRehearsal(this AkkaConfigurationBuilder builder) =>
        builder.WithActors((system, _) => system.ActorOf(
            FailureRehearsal.Props(FailureRehearsal.Delay, static _ => { }), "failure-rehearsal"));
}
