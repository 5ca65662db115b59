using System.Collections.Immutable;
using Akka.Actor;
using CsCheck;
using Microsoft.Extensions.DependencyInjection;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planner;
using SpotServe.Tests.Cluster;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Tests.Persistence;

/// <summary>An entry of the planner's is damaged in a real database: it goes on without it and says which.</summary>
public sealed class DamagedPlannerTests
{
    private static readonly TimeSpan Limit = Waits.Max;
    private static readonly DateTimeOffset At = TestEvents.At;

    private static readonly Layout Layout = new(
        new LayoutDegrees(1, 1, 1, 8), Layout.EvenStages(TestModels.Small.LayerCount, 1, 1),
        [new DeviceId("a:1#7", 0)]);

    private static readonly ImmutableArray<IPlannerEvent> History =
    [
        new PlannerStarted(Epoch.None, 1, At),
        new LayoutDecided(new Epoch(1), At, "the first nodes are there", Layout),
        new LayoutActivated(new Epoch(1), At),
        new LayoutDecided(new Epoch(2), At, "a node joined", Layout),
        new CutOverBegun(new Epoch(2), At),
        new LayoutActivated(new Epoch(2), At),
    ];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("sqlite")]
    [InlineData("postgres")]
    public async Task Planner_goes_on_without_a_damaged_entry_with_higher_epochs_and_says_which(string kind)
    {
        foreach (var damage in JournalDamage.All)
        {
            for (var row = 1; row <= History.Length; row++)
            {
                await using var database = await JournalDatabase.CreateAsync(kind);
                using var host = await JournalSystem.StartAsync(database.Options, Cancel);
                await WriteAsync(JournalSystem.Probe(host, "planner"));
                await damage.DoAsync(database, "planner", row);

                var health = new JournalHealth();
                var system = host.Services.GetRequiredService<ActorSystem>();
                var first = await StartAsync(system, health);
                var second = await StartAsync(system, health);

                var told = Assert.Single(health.Damages);
                Assert.Contains($"'planner' and sequence_number {row} ", told, StringComparison.Ordinal);
                Assert.True(first.Epoch >= new Epoch(2) && second.Epoch >= first.Epoch, $"{damage}, row {row}");
                Assert.True(first.Term >= 2 && second.Term > first.Term, $"{damage}, row {row}");
                Assert.Null(health.Trouble);
                await host.StopAsync(Cancel);
            }
        }
    }

    /// <summary>Whatever is damaged, no epoch and no term is given out twice, and nothing is taken to serve that had
    /// been told to stop.</summary>
    [Fact]
    public void Fold_without_some_entries_is_never_below_the_fold_of_all() =>
        Gen.Select(Gen.Int[0, 4].Array[1, 30], Gen.Bool.Array[30]).Sample((kinds, damaged) =>
        {
            var (whole, partial) = (JournalState.Empty, JournalState.Empty);
            for (var i = 0; i < kinds.Length; i++)
            {
                var next = Event(kinds[i], whole);
                whole = whole.Apply(next);
                partial = damaged[i] ? partial.Without(i + 1) : partial.Apply(next);
                Assert.True(partial.Epoch >= whole.Epoch && partial.Term >= whole.Term);
                Assert.True(partial.Serving is null || partial.Serving == whole.Serving);
            }
        });

    private static IPlannerEvent Event(int kind, JournalState state) => kind switch
    {
        0 => new PlannerStarted(state.Epoch, state.Term + 1, At),
        1 => new LayoutDecided(state.Epoch.Next, At, "cause", Layout),
        2 => new LayoutActivated(state.Epoch, At),
        3 => new CutOverBegun(state.Epoch, At),
        _ => state.Checkpoint(At),
    };

    private static async Task WriteAsync(IActorRef journal)
    {
        foreach (var happened in History)
            await journal.Ask<JournalProbe.Written>(new JournalProbe.Write(happened), Limit, Cancel);
        await journal.GracefulStop(Limit);
    }

    /// <summary>What a planner that starts shows; it is stopped again.</summary>
    private static async Task<PlannerView> StartAsync(ActorSystem system, JournalHealth health)
    {
        var planner = system.ActorOf(
            PlannerActor.Props(new PlannerOptions(), TimeProvider.System, new ManualMembership(), health));
        var shown = new TaskCompletionSource<PlannerView>(TaskCreationOptions.RunContinuationsAsynchronously);
        var gateway = system.ActorOf(Props.Create(() => new Gateway(planner, shown)));
        var view = await shown.Task.WaitAsync(Limit, Cancel);
        await gateway.GracefulStop(Limit);
        await planner.GracefulStop(Limit);
        return view;
    }

    private sealed class Gateway : ReceiveActor
    {
        public Gateway(IActorRef planner, TaskCompletionSource<PlannerView> shown)
        {
            Receive<PlannerView>(view => shown.TrySetResult(view));
            planner.Tell(new RegisterGateway(Self));
        }
    }
}
