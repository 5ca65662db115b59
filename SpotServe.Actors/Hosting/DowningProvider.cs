using System.Collections.Immutable;
using System.Security.Cryptography;
using Akka.Actor;
using Akka.Cluster;
using Akka.Event;
using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Hosting;

/// <summary>Has the cluster follow <see cref="DowningPolicy"/>; named in hocon/*.conf.</summary>
internal sealed class DowningProvider(ActorSystem system, Akka.Cluster.Cluster cluster) : IDowningProvider
{
    public TimeSpan DownRemovalMargin => TimeSpan.Zero;

    public Props DowningActorProps => Props.Create(() => new DowningActor(cluster, TimeProvider.System));

    public override string ToString() => $"downing of {system.Name}";
}

/// <summary>
/// One per member: asks the control members regularly whether they are there (and, on a control member, gpu members
/// that are reported unreachable), and downs whom the policy names.
/// </summary>
internal sealed class DowningActor : ReceiveActor, IWithTimers
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(0.5);

    /// <summary>Silence that is worth a line in the log, long before it has consequences.</summary>
    private static readonly TimeSpan NotableSilence = TimeSpan.FromSeconds(4);

    private readonly TimeProvider _clock;
    private readonly Akka.Cluster.Cluster _cluster;
    private readonly bool _isControl;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly SenderGuard _guard;
    private readonly Dictionary<UniqueAddress, DateTimeOffset> _heard = [];

    /// <summary>What each of them is asked: known to nobody else, so that only they can answer.</summary>
    private readonly Dictionary<UniqueAddress, long> _questions = [];
    private readonly Dictionary<UniqueAddress, DateTimeOffset> _unreachableSince = [];
    private readonly HashSet<UniqueAddress> _replaced = [];
    private readonly HashSet<UniqueAddress> _downed = [];
    private readonly HashSet<UniqueAddress> _noted = [];
    private DateTimeOffset _tickedAt = DateTimeOffset.MaxValue;

    public DowningActor(Akka.Cluster.Cluster cluster, TimeProvider clock)
    {
        _cluster = cluster;
        _clock = clock;
        _guard = new SenderGuard(Context.System, clock);
        _isControl = cluster.SelfRoles.Contains(MemberRoles.Control);
        Receive<DowningProtocol.AreYouThere>(asked => Sender.Tell(
            new DowningProtocol.IAmHere(_cluster.SelfUniqueAddress.Uid, asked.Question)));
        Receive<DowningProtocol.IAmHere>(OnAnswer);
        Receive<Tick>(_ => OnTick());
    }

    public ITimerScheduler Timers { get; set; } = null!;

    protected override void PreStart() => Timers.StartPeriodicTimer(nameof(Tick), Tick.Instance, Period);

    private void OnAnswer(DowningProtocol.IAmHere answer)
    {
        var member = Others().FirstOrDefault(member => member.Address == Sender.Path.Address);
        if (member is null) return;
        if (!_questions.TryGetValue(member.UniqueAddress, out var question) || question != answer.Question)
        {
            _guard.Refuse(answer, Sender, "it was not asked that");
            return;
        }

        if (member.UniqueAddress.Uid == answer.Uid) _heard[member.UniqueAddress] = _clock.GetUtcNow();
        else if (_replaced.Add(member.UniqueAddress)) OnTick();
    }

    private void OnTick()
    {
        var now = _clock.GetUtcNow();
        ForgiveOwnPause(now);
        var others = Others().ToList();
        var controls = others.Where(IsControl).ToList();
        var unreachable = _isControl ? _cluster.State.Unreachable.Where(member => !IsControl(member)).ToList() : [];
        ForgetGone(others, unreachable);
        foreach (var member in unreachable) _unreachableSince.TryAdd(member.UniqueAddress, now);
        foreach (var member in controls.Concat(unreachable))
        {
            _heard.TryAdd(member.UniqueAddress, now);   // a new one has its full time
            if (!_questions.TryGetValue(member.UniqueAddress, out var question))
            {
                question = BitConverter.ToInt64(RandomNumberGenerator.GetBytes(sizeof(long)));
                _questions.Add(member.UniqueAddress, question);
            }

            Context.ActorSelection(new RootActorPath(member.Address) / Self.Path.Elements).Tell(
                new DowningProtocol.AreYouThere(question));
        }

        foreach (var member in controls) Note(member, now - _heard[member.UniqueAddress]);
        foreach (var address in DowningPolicy.Decide(View(now, controls, unreachable))) Down(address);
    }

    /// <summary>
    /// While this process did not run (a busy or a halted machine) nobody could be heard: that is not their silence.
    /// </summary>
    private void ForgiveOwnPause(DateTimeOffset now)
    {
        var pause = now - _tickedAt - Period;
        _tickedAt = now;
        if (pause < Period) return;
        foreach (var member in _heard.Keys.ToArray()) _heard[member] += pause;
    }

    private void Note(Member member, TimeSpan silence)
    {
        if (silence < NotableSilence) _noted.Remove(member.UniqueAddress);
        else if (_noted.Add(member.UniqueAddress))
            _log.Info("{0} has not answered for {1:0.0} s", member.Address, silence.TotalSeconds);
    }

    private DowningView View(DateTimeOffset now, List<Member> controls, List<Member> unreachable) => new(
        _cluster.SelfAddress,
        _isControl,
        controls.Select(member => (member.Address, Silence: now - _heard[member.UniqueAddress]))
            .Concat(_isControl ? [(_cluster.SelfAddress, TimeSpan.Zero)] : [])
            .ToImmutableDictionary(pair => pair.Item1, pair => pair.Item2),
        unreachable.ToImmutableDictionary(
            member => member.Address,
            member => now - Later(_heard[member.UniqueAddress], _unreachableSince[member.UniqueAddress])),
        [.. _replaced.Select(member => member.Address)]);

    private void Down(Address address)
    {
        var member = _cluster.State.Members.FirstOrDefault(member => member.Address == address);
        if (member is not null && _downed.Add(member.UniqueAddress))
        {
            _log.Warning(
                "Downing {0}: {1}", address,
                address == _cluster.SelfAddress ? "this member hears too few control members"
                : _replaced.Contains(member.UniqueAddress) ? "another process has its address"
                : "it does not answer");
        }

        _cluster.Down(address);
    }

    private void ForgetGone(List<Member> others, List<Member> unreachable)
    {
        Forget(_heard, others);
        Forget(_questions, others);
        Forget(_unreachableSince, unreachable);
        var known = others.Select(member => member.UniqueAddress).ToHashSet();
        _replaced.IntersectWith(known);
        _downed.IntersectWith(known);
        _noted.IntersectWith(known);
    }

    private IEnumerable<Member> Others() =>
        _cluster.State.Members.Where(member => member.UniqueAddress != _cluster.SelfUniqueAddress);

    private static void Forget<T>(Dictionary<UniqueAddress, T> what, IEnumerable<Member> kept)
    {
        var known = kept.Select(member => member.UniqueAddress).ToHashSet();
        foreach (var gone in what.Keys.Where(address => !known.Contains(address)).ToArray()) what.Remove(gone);
    }

    private static bool IsControl(Member member) => member.HasRole(MemberRoles.Control);

    private static DateTimeOffset Later(DateTimeOffset one, DateTimeOffset other) => one > other ? one : other;

    private sealed record Tick
    {
        public static Tick Instance { get; } = new();
    }
}
