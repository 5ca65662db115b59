using System.Globalization;

namespace SpotServe.Actors.Requests;

/// <summary>
/// The end of a request's time. It is an instant in the journal: an entity that takes over from a lost one keeps it,
/// by the clock of its own machine, and ends at once a request whose time was over meanwhile.
/// </summary>
internal sealed partial class RequestEntity
{
    /// <summary>Longer waits are cut in pieces: timers do not take them.</summary>
    private static readonly TimeSpan TimerMax = TimeSpan.FromDays(1);

    /// <returns>False when its time is over, and it ends.</returns>
    private bool StartDeadline()
    {
        if (_state.Accepted!.Spec.Deadline is not { } deadline) return true;
        var left = deadline - _clock.GetUtcNow();
        if (left <= TimeSpan.Zero)
        {
            EndLate();
            return false;
        }

        Timers.StartSingleTimer(
            nameof(DeadlinePassed), DeadlinePassed.Instance, left < TimerMax ? left : TimerMax);
        return true;
    }

    private void OnDeadline()
    {
        // A timer is not exact, and the clock may have been set back.
        if (_ending is null) StartDeadline();
    }

    private void EndLate()
    {
        var (at, spec) = (_state.Accepted!.At, _state.Accepted.Spec);
        var seconds = (spec.Deadline!.Value - at).TotalSeconds;
        End(
            FinishReason.TimedOut,
            string.Create(
                CultureInfo.InvariantCulture,
                $"its time of {seconds:0.#} s is over, and {_intake.NextIndex:N0} of up to " +
                $"{spec.Parameters.TokensMax:N0} tokens were generated. Ask for fewer tokens or give it more time."));
    }

    private sealed record DeadlinePassed
    {
        public static DeadlinePassed Instance { get; } = new();
    }
}
