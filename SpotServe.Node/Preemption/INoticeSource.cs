using SpotServe.Actors.Cluster;

namespace SpotServe.Node.Preemption;

/// <summary>What the owner of a machine says about its end.</summary>
internal abstract record MachineEvent
{
    /// <summary>The machine goes at a known time.</summary>
    public sealed record Leaves(PreemptionNotice Notice) : MachineEvent;

    /// <summary>
    /// The machine is more likely to go than others; it may as well stay. A hint is no notice: a node that only has
    /// hints serves on.
    /// </summary>
    /// <param name="Source">Who said so, as in <see cref="PreemptionNotice.Source"/>.</param>
    /// <param name="Reason">What was said, for people.</param>
    public sealed record MayLeave(string Source, string Reason) : MachineEvent;
}

/// <summary>
/// Somebody who may say that this machine goes: a cloud's metadata service, a signal, a file. Each source is watched by
/// one reader (<see cref="NoticeBoard"/>) from the start of the process to its end.
/// </summary>
internal interface INoticeSource
{
    /// <summary>What it is called in logs and in notices: "aws", "signal", ...</summary>
    string Name { get; }

    /// <summary>
    /// What is said, in order, without repetition. A source that fails says so in the log and is asked again: the
    /// stream throws on <paramref name="cancel"/> only, and ends when nothing more can come.
    /// </summary>
    IAsyncEnumerable<MachineEvent> WatchAsync(CancellationToken cancel);

    /// <summary>Says that nothing on this machine is needed any more, to a cloud that takes it sooner then. Bounded by
    /// the caller; failures are the caller's to ignore.</summary>
    Task AcknowledgeAsync(CancellationToken cancel) => Task.CompletedTask;
}
