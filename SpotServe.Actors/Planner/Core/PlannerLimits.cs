using System.Runtime.CompilerServices;
using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>How long the planner waits for whom. Some of these times only make sense one after the other;
/// <see cref="InOrder"/> checks that.</summary>
public sealed record PlannerLimits
{
    /// <summary>What a node keeps of its grace period for leaving the cluster in order.</summary>
    public static readonly TimeSpan LeaveTime = TimeSpan.FromSeconds(2);

    /// <summary>Longest wait for the expected devices before serving with fewer.</summary>
    public TimeSpan GatherMax { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Longest wait for what nodes hold while one of them is said to be lost; a node that was accused and
    /// does not answer by then is lost.</summary>
    public TimeSpan AccusedAnswerMax { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Longest wait for what nodes hold; one that does not answer by then is lost.</summary>
    public TimeSpan AnswerMax { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Events within this time make one plan; a loss is planned for at once.</summary>
    public TimeSpan Coalesce { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>When no layout fits, it is tried again after this, or when a node joins.</summary>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>First wait after a layout failed before it served; doubles with each further failure, up to 32
    /// times.</summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromSeconds(0.5);

    /// <summary>Longest wait for full pages to be over before the old layout stops without them.</summary>
    public TimeSpan PreCopyPagesMax { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Longest wait for old replicas to hand over, once they were told to stop.</summary>
    public TimeSpan CutOverMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest wait for the old layout's memory to be given back.</summary>
    public TimeSpan ReleaseMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A command that is not answered is repeated after this.</summary>
    public TimeSpan RepeatAfter { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Time that a node which leaves the cluster without a notice is taken to have.</summary>
    public TimeSpan LeaveMax { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Before a notice's deadline the old layout stops this much earlier, ready or not: until the node itself
    /// leaves, the rest has to be handed over.</summary>
    public TimeSpan DeadlineReserve { get; init; } = TimeSpan.FromSeconds(4);

    /// <summary>Before a notice's deadline the new layout serves this much earlier, with what it was handed over by
    /// then: a little before the node leaves.</summary>
    public TimeSpan HandoverReserve { get; init; } = TimeSpan.FromSeconds(2.5);

    /// <summary>Longest wait for what a node that joins measures; without it, others' rates are taken for its
    /// own.</summary>
    public TimeSpan ProbeMax { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>While a layout gets ready: a node of it that has not reported for this long is asked whether it
    /// lives.</summary>
    public TimeSpan SuspectAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>A node that has not reported for this long is taken for lost.</summary>
    public TimeSpan NodeSilenceMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>First time for which two nodes that do not reach each other are not used together; doubles with each
    /// failed try after it.</summary>
    public TimeSpan Apart { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Longest such time.</summary>
    public TimeSpan ApartMax { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Two nodes of which one was silent to the other are watched more closely for this long.</summary>
    public TimeSpan Doubt { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Longest wait for such two to connect.</summary>
    public TimeSpan DoubtedConnectMax { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Longest time without progress in loading or connecting before the layout is given up.</summary>
    public TimeSpan ProgressMax { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>After a loss, when nothing more was heard for this long of requests that go on, all have.</summary>
    public TimeSpan AftermathQuiet { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>The same while some have come and not gone on yet.</summary>
    public TimeSpan AftermathMax { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Checks what has to end before what.</summary>
    /// <exception cref="ArgumentException">Two of them are in the wrong order; the message names both.</exception>
    internal PlannerLimits InOrder()
    {
        Ordered(Coalesce, AnswerMax);
        Ordered(AccusedAnswerMax, AnswerMax);
        Ordered(RepeatAfter, AnswerMax);
        Ordered(RepeatAfter, SuspectAfter);
        Ordered(RepeatAfter, CutOverMax);
        Ordered(RepeatAfter, ReleaseMax);
        Ordered(RepeatAfter, ProgressMax);
        Ordered(RepeatAfter, PreCopyPagesMax);
        // A node reports several times before it is asked, and is asked before it is taken for lost.
        Ordered(2 * ClusterProtocol.RegisterNode.Interval, SuspectAfter);
        Ordered(SuspectAfter, NodeSilenceMax);
        Ordered(AnswerMax, NodeSilenceMax);
        // Under notice: the old layout stops, the new one serves, the node leaves, the machine goes.
        Ordered(LeaveTime, HandoverReserve);
        Ordered(HandoverReserve, DeadlineReserve);
        Ordered(DeadlineReserve, LeaveMax);
        Ordered(Apart, ApartMax);
        Ordered(DoubtedConnectMax, ProgressMax);
        Ordered(DoubtedConnectMax, Doubt);
        // Replicas report every second.
        Ordered(2 * ClusterProtocol.RegisterNode.Interval, AftermathQuiet);
        Ordered(AftermathQuiet, AftermathMax);
        return this;
    }

    private static void Ordered(
        TimeSpan sooner,
        TimeSpan later,
        [CallerArgumentExpression(nameof(sooner))] string? soonerName = null,
        [CallerArgumentExpression(nameof(later))] string? laterName = null)
    {
        if (sooner > TimeSpan.Zero && sooner <= later) return;
        throw new ArgumentException(
            $"{soonerName} is {sooner.TotalSeconds} s; it must be above 0 and at most {laterName}, which is " +
            $"{later.TotalSeconds} s.");
    }
}
