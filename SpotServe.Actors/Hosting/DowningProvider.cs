using System.Collections.Immutable;
using Akka.Actor;
using Akka.Cluster;
using Akka.Event;

namespace SpotServe.Actors.Hosting;

/// <summary>Has the cluster follow <see cref="DowningPolicy"/>; named in hocon/*.conf.</summary>
public sealed class DowningProvider(ActorSystem system, Akka.Cluster.Cluster cluster) : IDowningProvider
{
    public TimeSpan DownRemovalMargin => TimeSpan.Zero;

    public Props DowningActorProps => Props.Create(() => new DowningActor(cluster, TimeProvider.System));

    public override string ToString() => $"downing of {system.Name}";
}

/// <summary>
/// One per member: asks the control members every second whether they are there (and, on a control member, gpu members
/// that are reported unreachable), and downs whom the policy names.
/// </summary>
internal sealed class DowningActor : ReceiveActor, IWithTimers
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly TimeProvider _clock;
    private readonly Akka.Cluster.Cluster _cluster;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly Dictionary<UniqueAddress, DateTimeOffset> _heard = [];
    private readonly Dictionary<UniqueAddress, DateTimeOffset> _unreachableSince = [];

    public DowningActor(Akka.Cluster.Cluster cluster, TimeProvider clock)
    {
        _cluster = cluster;
        _clock = clock;
        Receive<ActorIdentity>(OnAnswer);
        Receive<Tick>(_ => OnTick());
    }

    public ITimerScheduler Timers { get; set; } = null!;

    protected override void PreStart() => Timers.StartPeriodicTimer(nameof(Tick), Tick.Instance, Period);

    private void OnAnswer(ActorIdentity answer)
    {
        if (answer is { MessageId: string name, Subject: not null })
        {
            foreach (var member in _cluster.State.Members.Where(member => NameOf(member) == name))
            {
                _heard[member.UniqueAddress] = _clock.GetUtcNow();
            }
        }
    }

    private void OnTick()
    {
        var now = _clock.GetUtcNow();
        var others = _cluster.State.Members.Where(member => member.UniqueAddress != _cluster.SelfUniqueAddress)
            .ToList();
        var isControl = _cluster.SelfRoles.Contains(ControlHosting.ControlRole);
        var controls = others.Where(IsControl).ToList();
        var unreachable = isControl ? _cluster.State.Unreachable.Where(member => !IsControl(member)).ToList() : [];
        Forget(_heard, others);
        Forget(_unreachableSince, unreachable);
        foreach (var member in unreachable) _unreachableSince.TryAdd(member.UniqueAddress, now);
        foreach (var member in controls.Concat(unreachable))
        {
            _heard.TryAdd(member.UniqueAddress, now);   // a new one has its full time
            Context.ActorSelection(new RootActorPath(member.Address) / Self.Path.Elements).Tell(
                new Identify(NameOf(member)));
        }

        var view = new DowningView(
            _cluster.SelfAddress,
            isControl,
            controls.Select(member => (member.Address, Silence: now - _heard[member.UniqueAddress]))
                .Concat(isControl ? [(_cluster.SelfAddress, TimeSpan.Zero)] : [])
                .ToImmutableDictionary(pair => pair.Item1, pair => pair.Item2),
            unreachable.ToImmutableDictionary(
                member => member.Address,
                member => now - Later(_heard[member.UniqueAddress], _unreachableSince[member.UniqueAddress])));
        foreach (var address in DowningPolicy.Decide(view))
        {
            _log.Warning("Downing {0}: it does not answer ({1} control members do)", address, controls.Count(IsHeard));
            _cluster.Down(address);
        }

        bool IsHeard(Member member) => now - _heard[member.UniqueAddress] < DowningPolicy.ControlSilenceMax;
    }

    private static void Forget(Dictionary<UniqueAddress, DateTimeOffset> times, IEnumerable<Member> kept)
    {
        var known = kept.Select(member => member.UniqueAddress).ToHashSet();
        foreach (var gone in times.Keys.Where(address => !known.Contains(address)).ToArray()) times.Remove(gone);
    }

    private static bool IsControl(Member member) => member.HasRole(ControlHosting.ControlRole);

    private static string NameOf(Member member) => $"{member.Address}#{member.UniqueAddress.Uid}";

    private static DateTimeOffset Later(DateTimeOffset one, DateTimeOffset other) => one > other ? one : other;

    private sealed record Tick
    {
        public static Tick Instance { get; } = new();
    }
}
