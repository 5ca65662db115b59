namespace SpotServe.Actors.Scheduling;

/// <summary>When a sequence came to its replica and got on there. Set and read by whoever measures; the scheduler has
/// no clock and only carries them.</summary>
public sealed class SequenceMarks
{
    /// <summary>It was submitted; null when it was handed over from another replica.</summary>
    public TimeSpan? QueuedAt { get; set; }

    /// <summary>It got pages for the first time.</summary>
    public TimeSpan? AdmittedAt { get; set; }

    /// <summary>Its first token here was drawn.</summary>
    public TimeSpan? FirstTokenAt { get; set; }
}
