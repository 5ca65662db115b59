using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Requests;

namespace SpotServe.Tests.Persistence;

/// <summary>One of each event, with fixed values; the golden files hold their stored forms.</summary>
internal static class TestEvents
{
    public static readonly DateTimeOffset At = new(2026, 11, 24, 13, 14, 15, 167, TimeSpan.Zero);

    /// <summary>What the stored forms of golden-events-old.txt mean, which are written no more.</summary>
    public static ImmutableArray<object> Old =>
        [Accepted([]), Accepted(["\n\n", "The \"end\""]), new RequestEvents.TokensCommitted(
            new RequestId("cmpl-01"), 12, [300, 0, 70_000])];

    private static CostCorrections Corrections => CostCorrections.None
        .With(new CostCorrection(1, "cpu 2 GB", 1.25, 1))
        .With(new CostCorrection(2, "cpu 2 GB", 1.5, 0.75));

    private static ChosenObjective Choice => new(
        new LayoutObjective(Objective.Slo) { SloTarget = TimeSpan.FromSeconds(2.5), SloShare = 0.95 }, null);

    private static FleetWish Wish => new(
        new LayoutDegrees(3, 1, 1, 8), 3, 1, 2, new FleetAddition("g4dn.xlarge", "cpu 2 GB", 1, 2, 1), [],
        "(3,1,1) on 3 machines for 4.5 requests/s");

    public static ImmutableArray<object> All { get; } =
    [
        Accepted(["\n\n", "The \"end\""]),
        Accepted([]) with { Spec = Accepted([]).Spec with { Kind = CompletionKind.Chat } },
        WithAll(Accepted([])),
        Accepted([]) with
        {
            Spec = Accepted([]).Spec with { TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
        },
        Accepted([]) with { Spec = Accepted([]).Spec with { Standing = new Standing("key alice", 4, -2) } },
        Accepted([]) with { Spec = Accepted([]).Spec with { Deadline = At.AddSeconds(30) } },
        Accepted([]) with
        {
            Spec = Accepted([]).Spec with { Parameters = Accepted([]).Spec.Parameters with { PromptLogprobs = 1 } },
        },
        new RequestEvents.TokensCommitted(new RequestId("cmpl-01"), 12, [300, 0, 70_000]),
        new RequestEvents.TokensCommitted(new RequestId("cmpl-01"), 0, [300, 7])
        {
            Logprobs =
            [
                new TokenLogprobs(-0.5f, [new TopToken(300, -0.5f), new TopToken(1, -1.25f)]),
                new TokenLogprobs(float.NegativeInfinity, []),
            ],
        },
        new RequestEvents.TokensCommitted(new RequestId("cmpl-01"), 0, [300])
        {
            PromptLogprobs =
            [
                new TokenLogprobs(-0.5f, [new TopToken(300, -0.5f)]) { Rank = 1 },
                new TokenLogprobs(-9, []) { Rank = 70_000 },
            ],
        },
        new RequestEvents.LossCounted(new RequestId("cmpl-01"), At),
        new RequestEvents.LossCounted(new RequestId("cmpl-01"), At, WasTogether: true),
        new RequestEvents.TriedAlone(new RequestId("cmpl-01"), At),
        new RequestEvents.RequestFinished(new RequestId("cmpl-01"), FinishReason.Length, null, At),
        new RequestEvents.RequestFinished(new RequestId("cmpl-02"), FinishReason.Failed, "no \"layout\" fits", At),
        new RequestEvents.RequestFinished(new RequestId("cmpl-03"), FinishReason.TimedOut, "its time is over", At),
        new PlannerEvents.LayoutDecided(new Epoch(4), At, "node 127.0.0.1:5103 was lost", new Layout(
            new LayoutDegrees(1, 2, 2, 8),
            [new LayerRange(0, 4), new LayerRange(4, 8)],
            [new("a:1#7", 0), new("a:1#7", 1), new("b:2#9", 0), new("c:3#1", 0)])),
        new PlannerEvents.LayoutActivated(new Epoch(4), At),
        new PlannerEvents.CutOverBegun(new Epoch(4), At),
        new PlannerEvents.ReconfigurationEnded(new ReconfigurationRecord(
            new Epoch(4), "node a:1#7 leaves in 28 s", At, new LayoutDegrees(1, 4, 1, 8),
            new LayoutDegrees(1, 3, 1, 8),
            [new ReconfigurationPhase("Planning", TimeSpan.Zero, TimeSpan.FromMilliseconds(12))],
            new WeightSources(1 << 20, 2 << 20, 0), 4096, TimeSpan.FromMilliseconds(40), 3, 0,
            ReconfigurationRecord.Served)),
        new PlannerEvents.ReconfigurationEnded(new ReconfigurationRecord(
            new Epoch(5), "the first nodes are there", At, null, new LayoutDegrees(1, 3, 1, 8), [],
            default, 0, null, 0, 0, "given up: node a:1#7 was lost")),
        new PlannerEvents.PlannerStarted(new Epoch(4), 3, At),
        new PlannerEvents.RequestsResumed(new Epoch(5), new Resumption(4, 812, TimeSpan.FromMilliseconds(600))),
        new PlannerEvents.ReconfigurationEnded(new ReconfigurationRecord(
            new Epoch(5), "node a:1#7 was killed: it closed its connections", At, null,
            new LayoutDegrees(1, 3, 1, 8), [],
            default, 0, null, 0, 0, ReconfigurationRecord.Served)
        {
            Gone =
            [
                new DepartedNode("a:1#7", NoticedBy.ClosedConnections),
                new DepartedNode("b:2#9", NoticedBy.Operator),
            ],
            Resumed = new Resumption(4, 812, TimeSpan.FromMilliseconds(600)),
        }),
        new PlannerEvents.CostsLearned(new Epoch(4), At, Corrections),
        new PlannerEvents.CostsLearned(new Epoch(4), At, CostCorrections.None.With(
            new CostCorrection(4, "cpu 2 GB", 1.5, 0.75) { BatchSize = 8, Seconds = 1.5 })),
        new PlannerEvents.CostsLearned(new Epoch(4), At, CostCorrections.None.With(
            new CostCorrection(4, "cpu 2 GB", 1.5, 0.75) { BatchSize = 8, Seconds = 1.5, Demand = -2 })),
        new PlannerEvents.ObjectiveChosen(new Epoch(4), At, Choice),
        new PlannerEvents.ObjectiveChosen(new Epoch(4), At, new ChosenObjective(null, Choice.Chosen)),
        new PlannerEvents.FleetWished(new Epoch(4), At, Wish),
        new PlannerEvents.FleetWished(new Epoch(4), At, Wish with { Add = null, Release = ["a:1#7", "b:2#9"] }),
        new PlannerEvents.PlannerCheckpoint(new Epoch(6), 3, At, null, [])
        {
            Corrections = Corrections,
            Choice = Choice,
            Wish = Wish,
        },
        new PlannerEvents.PlannerCheckpoint(
            new Epoch(6),
            3,
            At,
            new CheckpointedEpoch(new Epoch(5), new Layout(
                new LayoutDegrees(1, 2, 1, 8),
                [new LayerRange(0, 4), new LayerRange(4, 8)],
                [new("a:1#7", 0), new("b:2#9", 0)])),
            [
                new ReconfigurationRecord(
                    new Epoch(5), "the first nodes are there", At, null, new LayoutDegrees(1, 2, 1, 8), [],
                    default, 0, null, 0, 0, ReconfigurationRecord.Served),
            ]),
        new PlannerEvents.FleetWished(new Epoch(4), At, Wish with { IsForLoad = true }),
        .. OfFleet,
    ];

    private static ImmutableArray<object> OfFleet =>
    [
        new FleetEvents.FleetBegun(At, "spotserve", 4),
        new FleetEvents.SizeChosen(At, 5),
        Ordered,
        Ordered with { Alternatives = [Pool with { Zone = "us-east-1b" }] },
        new FleetEvents.LaunchAnswered(At, "spotserve-7", "i-0a1b"),
        new FleetEvents.LaunchAnswered(At, "spotserve-7", "i-0a1b", Pool with { Zone = "us-east-1b" }),
        new FleetEvents.LaunchRefused(At, "spotserve-7", At.AddSeconds(15), "no capacity"),
        new FleetEvents.MachineFound(At, "i-0c2d", "spotserve-3", Pool with { IsSpot = false }, 0.526),
        new FleetEvents.ReleaseBegun(At, "i-0c2d", At.AddMinutes(2), "enough spot machines serve"),
        new FleetEvents.TerminationOrdered(At, "i-0c2d", "its node has left"),
        new FleetEvents.MachineGone(At, "i-0c2d", false, null, "it was given back"),
        new FleetEvents.MachineGone(At, "i-0a1b", true, At.AddSeconds(30), "it went before its node had joined"),
        new FleetEvents.FleetCheckpoint(
            At, "spotserve", 4, 5, 7, [Ordered],
            [new FleetMachine("i-0c2d", "spotserve-3", Pool, 0.16, At, At.AddMinutes(2), At.AddMinutes(3))],
            [new PoolRecord(Pool, 12.5, 2, 1, At)],
            [new FleetDecision(At, "machine i-0a1b is gone", "it was lost without notice")]),
    ];

    private static MachinePool Pool => new("g4dn.xlarge", "us-east-1a", true);

    private static FleetEvents.LaunchOrdered Ordered => new(At, "spotserve-7", Pool, 0.16, "a machine is missing");

    private static RequestEvents.RequestAccepted WithAll(RequestEvents.RequestAccepted plain) => plain with
    {
        Spec = plain.Spec with
        {
            Parameters = plain.Spec.Parameters with
            {
                ShowsSpecialTokens = true,
                IncludesStop = true,
                TokensMin = 3,
                Penalties = new LogitPenalties(0.05f, 0.5f, -0.25f, 1.1f),
                Biases = [new TokenBias(5, -100), new TokenBias(7, 0.5f)],
                TopLogprobs = 2,
            },
        },
    };

    private static RequestEvents.RequestAccepted Accepted(ImmutableArray<string> stops) => new(
        new RequestId("cmpl-01"), At, new GenerationSpec(
            [1, 15043, 127, 128, 128_255],
            new GenerationParameters(64, new SamplingParameters(0.7f, 0.95f, 40, ulong.MaxValue), [2, 128_009])
            {
                Stops = stops,
            }));
}
