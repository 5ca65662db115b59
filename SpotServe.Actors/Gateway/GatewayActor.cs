using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using SpotServe.Actors.Scheduling;
using static SpotServe.Actors.Gateway.GatewayProtocol;

namespace SpotServe.Actors.Gateway;

/// <summary>
/// One per control node. Admits requests within bounds, tells request entities which replica generates for them, and
/// keeps the planner's latest view. One state: whether a layout serves is data of that view, not a behaviour, because
/// requests are taken in either case.
/// </summary>
internal sealed partial class GatewayActor : ReceiveActor, IWithTimers
{
    /// <summary>A whole view that was asked for may be on its way for so long.</summary>
    private static readonly TimeSpan WholeAgainAfter = TimeSpan.FromMilliseconds(200);

    /// <summary>So many more requests than the least busy replica one may have, and still get another whose prompt it
    /// probably holds.</summary>
    private const int AheadMax = 4;

    private const int PrefixPartsMax = 16_384;

    private readonly GatewayOptions _options;
    private readonly TimeProvider _clock;
    private readonly ClusterBoard _board;
    private readonly IActorRef _planner;
    private readonly Func<IActorRef> _requests;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly LargeMessages _large = LargeMessages.Of(Context.System);
    private readonly SenderGuard _guard;
    private readonly Dictionary<RequestId, PendingAccept> _accepting = [];
    private readonly Dictionary<RequestId, RouteEntry> _routes = [];

    /// <summary>Requests of this gateway at each replica.</summary>
    private readonly Dictionary<(Epoch, int Replica), int> _routed = [];
    private readonly PrefixRoutes _prefixes = new(PrefixPartsMax);
    private readonly ArrivalWindow _arrivals;
    private readonly OpenLedger _open;
    private readonly GatewayGauges _gauges = new();
    private ClusterProtocol.PlannerView? _view;
    private DateTimeOffset _unservedSince;
    private DateTimeOffset? _heardAt;
    private DateTimeOffset _wholeAskedAt;

    /// <param name="planner">Proxy of the planner singleton.</param>
    /// <param name="requests">The shard region of request entities, which starts after this actor.</param>
    public GatewayActor(
        GatewayOptions options, TimeProvider clock, ClusterBoard board, IActorRef planner, Func<IActorRef> requests)
    {
        _options = options;
        _clock = clock;
        _guard = new SenderGuard(Context.System, clock);
        _board = board;
        _planner = planner;
        _requests = requests;
        _unservedSince = clock.GetUtcNow();
        _arrivals = new ArrivalWindow(options.LoadWindow);
        _open = new OpenLedger(options.OpenRequestsMax, options.WaitingTokensMax);
        Receive<Generate>(OnGenerate);
        Receive<RequestProtocol.Located>(OnLocated);
        Receive<RequestProtocol.Accepted>(OnAccepted);
        Receive<RequestProtocol.NotAccepted>(OnNotAccepted);
        Receive<RequestProtocol.Route>(OnRoute);
        Receive<RequestProtocol.Begun>(begun => _arrivals.OnDrained(_open.Begin(begun.Id), _clock.GetUtcNow()));
        Receive<RequestProtocol.RouteEnded>(OnRouteEnded);
        Receive<ReplicaProtocol.StepDrew>(OnStepDrew);
        Receive<ReplicaProtocol.IEvent>(PassOn);
        Receive<ClusterProtocol.PlannerView>(OnView);
        Receive<ClusterProtocol.ViewChange>(OnViewChange);
        Receive<Terminated>(OnEntityStopped);
        Receive<Register>(_ => OnRegister());
    }

    public ITimerScheduler Timers { get; set; } = null!;

    private bool IsServing => _view is { Replicas.IsDefaultOrEmpty: false };

    protected override bool AroundReceive(Receive receive, object message) =>
        !_guard.Passes(message, Sender) || base.AroundReceive(receive, message);

    protected override void PreStart() => Timers.StartPeriodicTimer(
        nameof(Register), Register.Instance, TimeSpan.Zero, TimeSpan.FromSeconds(1));

    protected override void PostStop() => _gauges.Dispose();

    private void OnRoute(RequestProtocol.Route command)
    {
        if (!_routes.TryGetValue(command.Id, out var entry))
        {
            entry = new RouteEntry(Sender) { Prompt = command.Prompt };
            _routes.Add(command.Id, entry);
            _arrivals.OnOpen(_routes.Count, _clock.GetUtcNow());
            var tokens = TokensOf(command.Prompt.Length, command.TokensMax);
            _open.Add(command.Id, command.Standing.Client, tokens, waits: !command.HasBegun);
            Context.Watch(Sender);
        }

        entry.Entity = Sender;
        if (IsServing) Assign(command.Id, entry);
    }

    private void Assign(RequestId id, RouteEntry entry)
    {
        // A request stays where it is: only there are its KV pages.
        var replicas = _view!.Replicas;
        var there = entry.Epoch == _view.ServingEpoch
            ? replicas.FirstOrDefault(serving => serving.Replica == entry.Replica)
            : null;
        if (there is null)
        {
            there = Choose(entry);
            Unroute(entry);
            entry.Replica = there.Replica;
            entry.Epoch = _view.ServingEpoch;
            var replica = (entry.Epoch, entry.Replica);
            _routed[replica] = _routed.GetValueOrDefault(replica) + 1;
        }

        entry.Entity.Tell(new RequestProtocol.Routed(id, entry.Epoch, there.Actor));
    }

    /// <summary>The least busy replica, or a hardly busier one that was sent what the prompt begins with.</summary>
    private ServingReplica Choose(RouteEntry entry)
    {
        var epoch = _view!.ServingEpoch;
        var replicas = _view.Replicas;
        var least = replicas.MinBy(serving => (Open(serving), serving.Replica))!;
        if (replicas.Length == 1) return least;
        if (entry.Keys.IsDefault) entry.Keys = PrefixRoutes.KeysOf(entry.Prompt);
        var known = _prefixes.Find(entry.Keys, epoch);
        var holder = replicas.FirstOrDefault(serving => serving.Replica == known);
        var chosen = holder is not null && Open(holder) <= Open(least) + AheadMax ? holder : least;
        _prefixes.Note(entry.Keys, epoch, chosen.Replica);
        return chosen;

        int Open(ServingReplica serving) => _routed.GetValueOrDefault((epoch, serving.Replica));
    }

    private void OnView(ClusterProtocol.PlannerView view)
    {
        if (_view is not null && (view.Term < _view.Term || view.Epoch < _view.Epoch
            || (view.Term == _view.Term && view.Number < _view.Number))) return;
        _heardAt = _clock.GetUtcNow();
        TakeView(view);
    }

    /// <summary>One that leads on from another view than this gateway has: something was lost, or the planner is a new
    /// one.</summary>
    private void OnViewChange(ClusterProtocol.ViewChange change)
    {
        if (_view is { } known && change.Term == known.Term && change.From == known.Number)
        {
            _heardAt = _clock.GetUtcNow();
            if (change.To > change.From) TakeView(ViewDifference.Apply(known, change));
            return;
        }

        var isOld = _view is { } view
            && (change.Term < view.Term || (change.Term == view.Term && change.To <= view.Number));
        if (isOld || _clock.GetUtcNow() < _wholeAskedAt + WholeAgainAfter) return;
        _wholeAskedAt = _clock.GetUtcNow();
        _planner.Tell(new ClusterProtocol.RegisterGateway(Self));
    }

    private void TakeView(ClusterProtocol.PlannerView view)
    {
        var served = IsServing;
        var before = _view;
        _view = view;
        _board.Show(view);
        if (!IsServing)
        {
            if (served) _unservedSince = _clock.GetUtcNow();
            return;
        }

        if (served && before!.Replicas.SequenceEqual(view.Replicas)) return;
        _log.Info("{0} serves with {1} replicas", view.ServingEpoch, view.Replicas.Length);
        foreach (var (id, entry) in _routes) Assign(id, entry);
    }

    /// <summary>Each entity gets its own, from the replica, and judges by itself whether it wants it.</summary>
    private void OnStepDrew(ReplicaProtocol.StepDrew step)
    {
        foreach (var drawn in step.Drawn) PassOn(drawn);
    }

    /// <summary>Of a request that has ended nothing is wanted.</summary>
    private void PassOn(ReplicaProtocol.IEvent said)
    {
        if (_routes.TryGetValue(said.Id, out var entry)) entry.Entity.Forward(said);
    }

    private void OnRouteEnded(RequestProtocol.RouteEnded ended)
    {
        if (_routes.ContainsKey(ended.Id)) _arrivals.OnEnded(ended.Tokens, _clock.GetUtcNow());
        RemoveRoute(ended.Id);
    }

    private void OnEntityStopped(Terminated message)
    {
        var stopped = _routes.Where(route => route.Value.Entity.Equals(message.ActorRef)).Select(route => route.Key);
        foreach (var id in stopped)
        {
            RemoveRoute(id);
            return;
        }
    }

    private void RemoveRoute(RequestId id)
    {
        if (!_routes.Remove(id, out var entry)) return;
        var now = _clock.GetUtcNow();
        _arrivals.OnOpen(_routes.Count, now);
        _arrivals.OnDrained(_open.Remove(id), now);
        Unroute(entry);
        Context.Unwatch(entry.Entity);
    }

    private void Unroute(RouteEntry entry)
    {
        var replica = (entry.Epoch, entry.Replica);
        if (!_routed.TryGetValue(replica, out var requests)) return;
        if (requests > 1) _routed[replica] = requests - 1;
        else _routed.Remove(replica);
    }

    private void OnRegister()
    {
        _planner.Tell(new ClusterProtocol.RegisterGateway(Self)
        {
            Known = _view is { } view ? new ViewVersion(view.Term, view.Number) : null,
        });
        var now = _clock.GetUtcNow();
        _board.Note(new GatewayNote(now, _heardAt, _open.Count, _options.OpenRequestsMax));
        var unrouted = _routes.Values.Count(route => route.Epoch == Epoch.None);
        _gauges.Show(new GatewayWord(_open.Count, _accepting.Count + unrouted, _open.WaitingTokens));
        _planner.Tell(new ClusterProtocol.GatewayLoad(Self, _arrivals.Demand(_accepting.Count + unrouted, now)));
        foreach (var (id, pending) in _accepting.Where(accept => accept.Value.Deadline < now).ToArray())
        {
            RemovePending(id);
            Answer(pending, new Admission.Unavailable(
                $"The journal did not take the request within {_options.AcceptTimeout.TotalSeconds:0} s. " +
                "Look at the seed's log for the database's error.",
                _options.RetryAfter));
            _requests().Tell(new RequestProtocol.CancelRequest(id), ActorRefs.NoSender);
        }
    }

    private sealed class RouteEntry(IActorRef entity)
    {
        public IActorRef Entity { get; set; } = entity;

        public required ImmutableArray<int> Prompt { get; init; }

        /// <summary>Of the prompt's parts; made when there is a choice of replicas.</summary>
        public ImmutableArray<PrefixKey> Keys { get; set; }

        public Epoch Epoch { get; set; } = Epoch.None;

        public int Replica { get; set; }
    }

    private sealed record Register
    {
        public static Register Instance { get; } = new();
    }
}
