using System.Collections.Immutable;
using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Hosting;
using Akka.Remote;
using Akka.Remote.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Metrics;
using SpotServe.Actors.Remoting;
using SpotServe.Actors.Serialization;
using SpotServe.Node.Engine;
using ClusterEvent = Akka.Cluster.ClusterEvent;
using Member = Akka.Cluster.Member;

namespace SpotServe.Node.Hosting;

/// <summary>
/// One membership of the cluster: an actor system with this node's actors, from joining to the end. A removed member
/// can
/// never come back under its identity, so every membership has a system of its own; devices and data plane are lent to
/// it and outlive it.
/// </summary>
internal sealed class NodeMembership : IAsyncDisposable
{
    /// <summary>Longest time that an orderly stop takes.</summary>
    public static readonly TimeSpan StopMax = TimeSpan.FromSeconds(3);

    /// <summary>After <see cref="StopMax"/>: longest wait for what is left of the system to go. The parts of Akka's own
    /// end have limits of up to 10 s each; where no core is free they are used up, and the node has nothing to lose by
    /// waiting.</summary>
    private static readonly TimeSpan TerminateMax = TimeSpan.FromSeconds(60);

    private readonly IHost _host;
    private readonly ActorSystem _system;
    private readonly TaskCompletionSource<MembershipEnd> _ended;

    private NodeMembership(
        IHost host, ActorSystem system, NodeDeparture departure, TaskCompletionSource<MembershipEnd> ended)
    {
        _host = host;
        _system = system;
        _ended = ended;
        Departure = departure;
    }

    /// <summary>Notices go in here through <see cref="Give"/>; the end of waiting comes out.</summary>
    public NodeDeparture Departure { get; }

    /// <summary>Completes with the end of this membership, in whatever way. Never fails.</summary>
    public Task<MembershipEnd> Ended => _ended.Task;

    /// <summary>False while the actor system still runs, perhaps on the port that the next one wants.</summary>
    public bool IsOver => _system.WhenTerminated.IsCompleted;

    /// <summary>Starts the actors and joins; returns when the cluster has taken this node in.</summary>
    /// <exception cref="UsageException">No control node answered within the limit; nothing runs any more.</exception>
    public static async Task<NodeMembership> JoinAsync(
        NodeOptions options,
        DataPlaneNode dataPlane,
        ImmutableArray<TorchDeviceRuntime> runtimes,
        TimeProvider clock,
        TimeSpan joinMax,
        CancellationToken cancel)
    {
        var ended = new TaskCompletionSource<MembershipEnd>(TaskCreationOptions.RunContinuationsAsynchronously);
        var departure = new NodeDeparture(clock);
        var host = Build(options, dataPlane, runtimes, departure, ended, clock);
        await StartAsync(host, options, cancel);
        var system = host.Services.GetRequiredService<ActorSystem>();
        var membership = new NodeMembership(host, system, departure, ended);
        membership.WatchForEnd();
        await membership.JoinAsync(options, joinMax, cancel);
        return membership;
    }

    private static async Task StartAsync(IHost host, NodeOptions options, CancellationToken cancel)
    {
        try
        {
            await host.StartAsync(cancel);
        }
        catch (Exception error)
        {
            // Also what has started of it: the next try may want its port.
            host.Dispose();
            if (TransportFailure.In(error) is not { } why) throw;
            throw new UsageException(
                $"The control plane cannot listen on {options.Host}:{options.ClusterPort}: {why.TrimEnd('.')}. " +
                "Stop the program that has the port, or choose another with --port.");
        }
    }

    /// <summary>Gives a notice to the actors: the node leaves, released or not, by the deadline.</summary>
    public void Give(PreemptionNotice notice) => _system.EventStream.Publish(notice);

    /// <summary>Tells the actors what the node's weight files hash to.</summary>
    public void Tell(WeightsHashed hashed) => _system.EventStream.Publish(hashed);

    /// <summary>Leaves in order within <see cref="StopMax"/>, else without order. Waits for no release.</summary>
    public async ValueTask DisposeAsync()
    {
        Departure.Release("the process ends");
        using var limit = new CancellationTokenSource(StopMax);
        try
        {
            await _host.StopAsync(limit.Token).WaitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            // Peers and the planner see the closed sockets.
            _ = _system.Terminate();
        }
    }

    /// <summary>As <see cref="DisposeAsync"/>, and waits for the port to be free again.</summary>
    /// <returns>False when the actor system still runs: only the end of the process will end it.</returns>
    public async Task<bool> EndAsync(CancellationToken cancel)
    {
        await DisposeAsync();
        try
        {
            await _system.WhenTerminated.WaitAsync(TerminateMax, cancel);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private static IHost Build(
        NodeOptions options,
        DataPlaneNode dataPlane,
        ImmutableArray<TorchDeviceRuntime> runtimes,
        NodeDeparture departure,
        TaskCompletionSource<MembershipEnd> ended,
        TimeProvider clock)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.SetMinimumLevel(LogLevel.Trace)
            .AddProvider(new LineLoggerProvider(options.Log, Terminal.WriteLog, clock));
        builder.Services.AddSingleton<IHostLifetime, CommandLifetime>();
        builder.Services.AddAkka(ClusterSettings.SystemName, (akka, provider) => akka
            .AddHocon(ClusterSettings.Gpu(), HoconAddMode.Prepend)
            .AddActorLog(provider, options.Log.Levels)
            .AddSetup(new RemotingSetup(options.Access.Identity))
            .WithRemoting(options.Host.ToString(), options.ClusterPort)
            .WithClustering(new ClusterOptions { Roles = [MemberRoles.Gpu] })
            .AddSpotServeSerialization()
            .AddMetrics(all: null, TimeProvider.System)
            .AddNode(
                system => Describe(options, dataPlane, runtimes, system),
                runtimes[0].Model,
                [.. runtimes],
                new DataPlaneLauncher(dataPlane, runtimes[0].Model, options.ConnectMax),
                departure,
                reason => ended.TrySetResult(new MembershipEnd.Unfit(reason)))
            .WithActors((system, _) => system.ActorOf(
                Props.Create(() => new QuarantineWatch(ended)), "quarantine-watch")));
        return builder.Build();
    }

    private static NodeInfo Describe(
        NodeOptions options,
        DataPlaneNode dataPlane,
        ImmutableArray<TorchDeviceRuntime> runtimes,
        ActorSystem system)
    {
        var self = Akka.Cluster.Cluster.Get(system).SelfUniqueAddress;
        return new NodeInfo(
            $"{self.Address.Host}:{self.Address.Port}#{(uint)self.Uid:x}",
            dataPlane.Endpoint.ToString(),
            [
                .. runtimes.Select((runtime, index) =>
                    new DeviceInfo(index, runtime.Description, runtime.MemoryBytes)
                    {
                        Speed = runtime.Speed,
                        ProcessorShare = runtime.ProcessorShare,
                    }),
            ])
        {
            Machine = options.Machine,
            SecretMark = options.Access.Secret!.Mark,
            EncryptsData = options.Access.EncryptsData,
            ProcessId = Environment.ProcessId,
        };
    }

    private void WatchForEnd()
    {
        _ = _system.WhenTerminated.ContinueWith(
            _ => _ended.TrySetResult(Departure.Notice is null
                ? new MembershipEnd.Lost("the cluster removed this node")
                : new MembershipEnd.Left("it has left the cluster")),
            TaskScheduler.Default);
        _ = EndWhenReleasedAsync();
    }

    /// <summary>
    /// The cluster's own way out (leaving, exiting, shutdown) needs a control node that answers; this one does not.
    /// </summary>
    private async Task EndWhenReleasedAsync()
    {
        if (await Task.WhenAny(Departure.Noticed, Departure.Released) == Departure.Noticed)
            await Departure.UntilReleasedAsync();
        _ended.TrySetResult(new MembershipEnd.Left(await Departure.Released));
    }

    private async Task JoinAsync(NodeOptions options, TimeSpan joinMax, CancellationToken cancel)
    {
        ImmutableHashSet<Address> seeds =
            [.. options.Seeds.Select(seed => Address.Parse($"akka.tcp://{ClusterSettings.SystemName}@{seed}"))];
        var joined = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _system.ActorOf(Props.Create(() => new JoinWatch(joined, seeds)), "join-watch");
        Akka.Cluster.Cluster.Get(_system).JoinSeedNodes(seeds);
        try
        {
            await (await Task.WhenAny(joined.Task, _system.WhenTerminated).WaitAsync(joinMax, cancel));
            // One that was told to go before it heard that it had been taken in has joined and left.
            if (!joined.Task.IsCompleted && Departure.Notice is null) throw new TimeoutException("it answered nothing");
        }
        catch (Exception error)
        {
            await DisposeAsync();
            cancel.ThrowIfCancellationRequested();
            if (error is UsageException) throw;
            throw new UsageException(
                $"No control node at {string.Join(", ", options.Seeds)} took this node in within " +
                $"{joinMax.TotalSeconds:0} s ({error.Message}). Does it run there, can it be " +
                "reached, and is that the very address that it prints for nodes?");
        }
    }

    /// <summary>
    /// Sees the cluster take this node in, if only as one that is joining: from then on it is given work, and what
    /// removes it has it join again. While any two members cannot reach each other nobody becomes more, and nothing
    /// here needs that.
    /// </summary>
    private sealed class JoinWatch : ReceiveActor
    {
        private readonly Akka.Cluster.Cluster _cluster = Akka.Cluster.Cluster.Get(Context.System);
        private ImmutableHashSet<Address> _left;

        public JoinWatch(TaskCompletionSource joined, ImmutableHashSet<Address> seeds)
        {
            _left = seeds;
            // One that is misconfigured is no reason to give up on the others.
            Receive<PeerRefused>(refused =>
            {
                _left = _left.Remove(refused.Peer);
                if (_left.IsEmpty) joined.TrySetException(new UsageException(Refusal(refused)));
            });
            Receive<ClusterEvent.MemberJoined>(joining => OnMember(joining.Member));
            Receive<ClusterEvent.MemberUp>(up => OnMember(up.Member));
            Receive<ClusterEvent.MemberWeaklyUp>(up => OnMember(up.Member));

            void OnMember(Member member)
            {
                if (member.UniqueAddress == _cluster.SelfUniqueAddress && joined.TrySetResult()) Context.Stop(Self);
            }
        }

        protected override void PreStart()
        {
            Context.System.EventStream.Subscribe(Self, typeof(PeerRefused));
            _cluster.Subscribe(
                Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents,
                typeof(ClusterEvent.MemberJoined), typeof(ClusterEvent.MemberUp), typeof(ClusterEvent.MemberWeaklyUp));
        }

        protected override void PostStop()
        {
            Context.System.EventStream.Unsubscribe(Self);
            _cluster.Unsubscribe(Self);
        }

        private static string Refusal(PeerRefused refused) =>
            $"The control node at {refused.Peer.Host}:{refused.Peer.Port} has another secret or certificate than " +
            $"this node: {refused.Reason}. Start it with the {AccessSettings.SecretVariable} of the control nodes " +
            "and the other nodes.";
    }

    /// <summary>
    /// Ends the membership when another process has quarantined this one, as after a long halt: it was removed, and
    /// nothing that it says is heard any more.
    /// </summary>
    private sealed class QuarantineWatch : ReceiveActor
    {
        public QuarantineWatch(TaskCompletionSource<MembershipEnd> ended) =>
            Receive<ThisActorSystemQuarantinedEvent>(by => ended.TrySetResult(
                new MembershipEnd.Lost($"{by.RemoteAddress} takes this node for lost")));

        protected override void PreStart() =>
            Context.System.EventStream.Subscribe(Self, typeof(ThisActorSystemQuarantinedEvent));

        protected override void PostStop() => Context.System.EventStream.Unsubscribe(Self);
    }

    /// <summary>The command decides when the host stops, not the host's own signal handlers.</summary>
    private sealed class CommandLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
