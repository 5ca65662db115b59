using System.Text.Json.Serialization;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>A line of a recording: what a live cluster was told, and what it made of that. Lengths of prompts and
/// outputs are recorded, never their texts, and no name by which a request could be asked for.</summary>
/// <param name="Seconds">Since the recording began.</param>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "what")]
[JsonDerivedType(typeof(Begun), "begun")]
[JsonDerivedType(typeof(ModelKnown), "model")]
[JsonDerivedType(typeof(NodeSeen), "node")]
[JsonDerivedType(typeof(NodeNoticed), "notice")]
[JsonDerivedType(typeof(NodeGone), "gone")]
[JsonDerivedType(typeof(LayoutAsked), "layout-asked")]
[JsonDerivedType(typeof(ObjectiveAsked), "objective-asked")]
[JsonDerivedType(typeof(Arrived), "request")]
[JsonDerivedType(typeof(Ended), "answer")]
[JsonDerivedType(typeof(Loaded), "load")]
[JsonDerivedType(typeof(Decided), "layout")]
[JsonDerivedType(typeof(Changed), "change")]
[JsonDerivedType(typeof(Over), "end")]
public abstract record RecordedEntry(double Seconds)
{
    /// <summary>The first line.</summary>
    /// <param name="Form">Version of this form.</param>
    /// <param name="At">Wall-clock time, for people.</param>
    /// <param name="Planner">What the planner was asked for, without the mark of the cluster's secret.</param>
    public sealed record Begun(double Seconds, int Form, DateTimeOffset At, PlannerOptions Planner)
        : RecordedEntry(Seconds)
    {
        /// <summary>Of what this program writes.</summary>
        public const int CurrentForm = 1;
    }

    /// <summary>The model that the cluster serves.</summary>
    public sealed record ModelKnown(double Seconds, ModelSpec Model) : RecordedEntry(Seconds);

    /// <summary>A node is there, or says something else of itself than before.</summary>
    public sealed record NodeSeen(double Seconds, NodeInfo Node) : RecordedEntry(Seconds);

    /// <param name="Deadline">Second at which its machine is taken away.</param>
    public sealed record NodeNoticed(double Seconds, string Node, double Deadline) : RecordedEntry(Seconds);

    public sealed record NodeGone(double Seconds, string Node) : RecordedEntry(Seconds);

    /// <summary>An operator asked for degrees; null for the planner's own choice.</summary>
    public sealed record LayoutAsked(double Seconds, LayoutDegrees? Wanted) : RecordedEntry(Seconds);

    /// <summary>An operator asked for an objective; null for one replica over all devices.</summary>
    public sealed record ObjectiveAsked(double Seconds, LayoutObjective? Objective) : RecordedEntry(Seconds);

    /// <summary>A request was accepted.</summary>
    /// <param name="Request">Its number in this recording.</param>
    /// <param name="OutputTokensMax">What it asked for at most.</param>
    public sealed record Arrived(double Seconds, long Request, int PromptTokens, int OutputTokensMax)
        : RecordedEntry(Seconds);

    /// <summary>A request's last token was given to its client.</summary>
    /// <param name="FirstSeconds">When its first one was; null where nobody looked.</param>
    /// <param name="Finish">Why it ended, e.g. "Length".</param>
    public sealed record Ended(double Seconds, long Request, double? FirstSeconds, int OutputTokens, string Finish)
        : RecordedEntry(Seconds);

    /// <summary>What a replica reported; sums since its epoch began. Step times follow from two of them.</summary>
    public sealed record Loaded(
        double Seconds, long Epoch, int Replica, int Queued, int Running, long Steps, long Tokens)
        : RecordedEntry(Seconds);

    /// <summary>The planner decided a layout.</summary>
    public sealed record Decided(double Seconds, long Epoch, Layout Layout) : RecordedEntry(Seconds);

    /// <summary>A change of layout is over, with all that is known of it; a later line of the same epoch knows
    /// more.</summary>
    public sealed record Changed(double Seconds, ReconfigurationRecord Change) : RecordedEntry(Seconds);

    /// <summary>The last line of a recording that was ended in order.</summary>
    /// <param name="Missing">Lines that were not written, because the disk was slower than the cluster.</param>
    public sealed record Over(double Seconds, long Missing) : RecordedEntry(Seconds);
}
