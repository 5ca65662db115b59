using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Replica;

namespace SpotServe.Tests.Simulation;

/// <summary>How a seed went.</summary>
/// <param name="Broken">The first broken law, or null.</param>
/// <param name="Trace">Equal for two runs of one seed.</param>
internal sealed record SimOutcome(
    int Seed, string? Broken, ulong Trace, TimeSpan Took, int Requests, int Reconfigurations, TimeSpan LongestGap)
{
    /// <summary>The broken law without its stack, which differs with what the compiler has inlined.</summary>
    public string? Law => Broken?.Split('\n')[0];

    /// <summary>A single line, equal in every process.</summary>
    public override string ToString() =>
        $"seed {Seed}: trace {Trace:x16}, {Took.TotalSeconds} s, {Requests} requests, {Reconfigurations} layouts, "
        + $"longest gap {LongestGap.TotalSeconds} s, {Law ?? "no law broken"}";
}

/// <summary>
/// One seed from beginning to end: clients stream through a cluster on which faults fall; then all is well, and every
/// accepted request must come to its end, equal to an undisturbed run's, and nothing be left behind.
/// </summary>
internal sealed class ClusterSimulation
{
    private static readonly TimeSpan FaultsFrom = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan FaultsUntil = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Healed = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(20);

    private readonly SimWorld _world;
    private readonly ClusterDraw _draw;
    private readonly SimCluster _cluster;
    private readonly SimFaults _faults;
    private readonly SimLaws _laws;

    /// <summary>Long messages that were judged when they were sent, and to whom: one may go to several.</summary>
    private readonly Dictionary<object, HashSet<IActorRef>> _judged = new(ReferenceEqualityComparer.Instance);
    private PlannerPhase _phase;
    private readonly SimViews _views = new();
    private ClusterProtocol.PlannerView? _view;

    private ClusterSimulation(SimWorld world, ActorSystem system)
    {
        _world = world;
        _draw = ClusterDraw.Of(world.Random);
        world.Say($"{_draw}");
        world.Network.BytesPerSecond = _draw.BytesPerSecond;
        _cluster = new SimCluster(world, system, _draw);
        _cluster.DataPlane.Slowness = _draw.Slowness;
        _faults = new SimFaults(_cluster, _draw);
        _laws = new SimLaws(_cluster, _draw);
        world.OnMessage = OnMessage;
        SimLog.Attach(system, world);
        AddClients();
        foreach (var poison in SimPoison.Draw(_cluster, _draw.Model))
        {
            _cluster.Clients.Add(poison);
            world.At(TimeSpan.FromSeconds(1 + (poison.Prompt.Length % 19)), poison.Connect);
        }

        _faults.Draw(FaultsFrom, FaultsUntil, Healed);
    }

    /// <summary>On a thread of its own: without the test framework's synchronisation context, which would take
    /// continuations away, and without what an earlier seed left to its thread.</summary>
    /// <param name="log">Gets a line for everything of note; null for speed.</param>
    public static SimOutcome Run(int seed, Action<string>? log = null)
    {
        SimOutcome? outcome = null;
        var thread = new Thread(() =>
        {
            var world = new SimWorld(seed) { Log = log };
            world.Enter(() =>
            {
                var system = SimAkka.Create(log is not null);
                world.Fragments.InstallIn(system);
                outcome = new ClusterSimulation(world, system).Run();
            });
        });
        thread.Start();
        thread.Join();
        return outcome!;
    }

    private SimOutcome Run()
    {
        if (!_world.RunUntil(() => _world.Now > Healed && _cluster.Clients.TrueForAll(client => client.IsDone),
            Healed + Patience))
        {
            var open = _cluster.Clients.Where(client => !client.IsDone);
            _world.Break(
                $"{Patience.TotalSeconds:0} s after healing these are not done: {string.Join("; ", open)}; "
                + $"the planner says {_view?.Phase}, {_view?.StatusLine}");
        }

        // What a control node submits that was long away and is told only then that it speaks for nobody is an orphan
        // until its grace is over.
        var orphansUntil = Healed + ReplicaSettings.Default.OrphanGrace;
        var quietFrom = _world.Now > orphansUntil ? _world.Now : orphansUntil;
        if (!_world.RunUntil(() => IsQuiet() is null, quietFrom + Quiet))
            _world.Break($"it is never quiet: {IsQuiet()}");
        return new SimOutcome(
            _world.Seed, _world.Broken, _world.Trace, _world.Now, _cluster.Clients.Count,
            (int)(_view?.Epoch.Value ?? 0), _cluster.Clients.Max(client => client.LongestGap));
    }

    private void AddClients()
    {
        var isLong = _draw.Theme is SimTheme.FullBatches or SimTheme.PageShortage or SimTheme.SilentHome;
        for (var i = 0; i < _draw.Clients; i++)
        {
            var prompt = Enumerable.Range(0, _world.Random.Next(1, 50))
                .Select(_ => _world.Random.Next(_draw.Model.VocabularySize)).ToImmutableArray();
            var tokens = _world.Random.Next(isLong ? 40 : 1, 70);
            var sampling = _world.Chance(0.5)
                ? SamplingParameters.Greedy
                : new SamplingParameters(1, 1, 0, (ulong)_world.Random.NextInt64());
            var parameters = new GenerationParameters(tokens, sampling, []);
            // Of the tokens, not of chance, so that seeds found before still are the same worlds.
            if (tokens % 3 == 0) parameters = Shaped(parameters, prompt);
            if (tokens % 2 == 0) prompt = BeginningAlike(prompt);
            var alone = SoloRun.Run(_draw.Model, prompt, parameters);
            var client = new SimClient(
                _cluster,
                $"client{i}",
                prompt,
                parameters,
                alone.Tokens,
                _world.Chance(0.1) ? _world.Random.Next(tokens) : -1)
            {
                ExpectedLogprobs = alone.Logprobs,
                ExpectedPrompt = alone.Prompt,
                Timeout = prompt.Length % 7 == 3 ? TimeSpan.FromSeconds(tokens % 20) : null,
            };
            _cluster.Clients.Add(client);
            _world.At(_world.Between(1, _draw.ClientsUntil.TotalSeconds), client.Connect);
        }
    }

    /// <summary>The prompt with the beginning that all others get, of two pages and a half at most.</summary>
    private ImmutableArray<int> BeginningAlike(ImmutableArray<int> prompt) =>
        [.. prompt.Select((token, i) => i < 40 ? i * 7 % _draw.Model.VocabularySize : token)];

    /// <summary>With penalties strong enough to change tokens, and log-probabilities.</summary>
    private static GenerationParameters Shaped(GenerationParameters parameters, ImmutableArray<int> prompt) =>
        parameters with
        {
            Penalties = new LogitPenalties(0, 4, 2, prompt.Length % 2 == 0 ? 1 : 1.5f),
            Biases = [new TokenBias(prompt[0], 3), new TokenBias((prompt[0] + 1) % 8, -16)],
            TopLogprobs = prompt.Length % 4,
            PromptLogprobs = prompt.Length % 3 == 0 ? prompt.Length % 5 : null,
        };

    /// <summary>Null when nothing is left of what went on, else what is.</summary>
    private string? IsQuiet()
    {
        if (_view is not { Phase: PlannerPhase.Serving } view)
            return $"the planner is at {_view?.Phase}: {_view?.StatusLine}";
        if (view.Loads.Length < view.Replicas.Length) return "not all replicas have reported";
        foreach (var load in view.Loads)
        {
            if (load.Queued + load.Running > 0 || load.FreePages != load.PageCount) return $"replica has {load}";
        }

        foreach (var node in _cluster.Nodes.Where(node => node.Process.IsRunning))
        {
            foreach (var runtime in node.Runtimes)
            {
                var stale = runtime.Engines.Where(epoch => epoch != view.ServingEpoch).ToArray();
                if (stale.Length > 0) return $"{node.Name} has engines of {string.Join(", ", stale)}";
            }
        }

        return null;
    }

    private void OnMessage(SimMessage message)
    {
        // A long message is judged when it is sent, as others are, not when it has arrived.
        if (_judged.TryGetValue(message.Content, out var judged) && judged.Contains(message.To)) return;
        if (message.Content is FragmentRelay.Enqueue { Message: var outgoing })
        {
            var (sender, target) = outgoing.Pair;
            OnMessage(new SimMessage(outgoing.Message, sender, target));
            if (!_judged.TryGetValue(outgoing.Message, out var targets)) _judged.Add(outgoing.Message, targets = []);
            targets.Add(target);
            return;
        }

        _laws.OnMessage(message);
        _faults.OnMessage(message);
        if (_views.Of(message) is { } view) OnView(view);
        if (message.Content is ClusterProtocol.DeviceFailed failed && SimPoison.IsNoLoss(failed.Reason))
            _world.Break($"a request's failure was taken for a lost device: {failed.Reason}");
    }

    private void OnView(ClusterProtocol.PlannerView view)
    {
        // A planner that hung and does not know yet that there is another may still speak; nobody listens to it.
        if (_view is not null && view.Epoch < _view.Epoch) return;
        _view = view;
        if (view.Phase == _phase) return;
        _phase = view.Phase;
        _world.Say($"{view.Phase} {view.Epoch}: {view.StatusLine}");
        _faults.OnPhase(view.Phase);
    }
}
