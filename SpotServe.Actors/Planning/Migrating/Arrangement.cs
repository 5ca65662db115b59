namespace SpotServe.Actors.Planning;

/// <summary>How long the serving layout takes for more decode steps: l_exe(S | C_t).</summary>
/// <param name="First">Seconds until the step that runs now is done.</param>
/// <param name="Step">Seconds of each one after it, above 0.</param>
public readonly record struct StepClock(double First, double Step)
{
    /// <summary>Seconds after which S more steps are done; 0 for none.</summary>
    public double After(int steps) => steps == 0 ? 0 : First + ((steps - 1) * Step);

    /// <summary>Most steps, up to the limit, that are done strictly before an instant; 0 when not even one
    /// is.</summary>
    public int MostBefore(double seconds, int stepsMax)
    {
        if (seconds <= First || stepsMax < 1) return 0;
        var steps = (int)Math.Min(stepsMax, ((seconds - First) / Step) + 2);
        while (steps > 0 && After(steps) >= seconds) steps--;
        return steps;
    }

    /// <summary>Fewest steps, up to the limit, that are not done before an instant.</summary>
    public int FewestAtLeast(double seconds, int stepsMax)
    {
        if (seconds <= 0 || stepsMax < 1) return 0;
        var steps = (int)Math.Min(stepsMax, Math.Max(1, ((seconds - First) / Step) - 1));
        while (steps > 1 && After(steps - 1) >= seconds) steps--;
        while (steps < stepsMax && After(steps) < seconds) steps++;
        return steps;
    }

    /// <exception cref="PlanningInputException">A time is negative or not a number, or a step takes none.</exception>
    public void Require()
    {
        Inputs.NotNegative(First, "The rest of the running step");
        Inputs.Positive(Step, "The time of a step");
    }
}

/// <summary>When the old layout stops.</summary>
public abstract record CutOver
{
    private CutOver()
    {
    }

    /// <summary>After so many more steps of every replica.</summary>
    /// <param name="At">From now.</param>
    /// <param name="Pause">How long nothing is served from then on.</param>
    /// <param name="IncludesJoin">Whether instances that are still starting are part of the change.</param>
    /// <param name="Reason">In a person's words.</param>
    public sealed record AfterSteps(int Steps, TimeSpan At, TimeSpan Pause, bool IncludesJoin, string Reason) : CutOver;

    /// <summary>Moving the requests would take longer than they can still be served: they go on elsewhere from their
    /// tokens, and only weights move.</summary>
    public sealed record Reroute(string Reason) : CutOver;
}

/// <summary>What the decision depends on. At least one of the two times is given.</summary>
/// <param name="NoticeLeft">T-: until the first preempted instance goes; null when none does.</param>
/// <param name="JoinIn">T+: until the instances that are starting are ready; null when none is.</param>
/// <param name="StepsMax">Steps until the last running request is done: there is no use in waiting longer.</param>
internal sealed record ArrangementInput(
    StepClock Clock, TimeSpan? NoticeLeft, TimeSpan? JoinIn, int StepsMax = int.MaxValue);

/// <summary>
/// Just-in-time arrangement: how many decode steps are run before the change. Stop-then-migrate as in the paper
/// (section 4.1): as many as the grace period allows, or until the new instance is ready. Copy-while-serving: until the
/// copies are in, as early as that, since every further step only adds to what must still move.
/// </summary>
internal static class Arrangement
{
    /// <exception cref="PlanningInputException">A time is negative or not a number.</exception>
    public static CutOver Decide(ArrangementInput input, MigrationPlan plan) =>
        Decide(input, plan.Mode, plan.PreCopy, plan.Pause);

    /// <param name="preCopy">Zero for stop-then-migrate, whose pause is all of T_mig.</param>
    public static CutOver Decide(ArrangementInput input, MigrationMode mode, TimeSpan preCopy, TimeSpan pause)
    {
        input.Clock.Require();
        if (input.NoticeLeft is { } left) Inputs.NotNegative(left.TotalSeconds, "The time left by the notice");
        if (input.JoinIn is { } join) Inputs.NotNegative(join.TotalSeconds, "The time until an instance is ready");
        Inputs.NotNegative(preCopy.TotalSeconds, "The time of the copies");
        Inputs.NotNegative(pause.TotalSeconds, "The pause");
        return mode == MigrationMode.StopThenMigrate
            ? StopThenMigrate(input, preCopy + pause)
            : CopyWhileServing(input, preCopy, pause);
    }

    private static CutOver StopThenMigrate(ArrangementInput input, TimeSpan migration)
    {
        var (clock, most) = (input.Clock, input.StepsMax);
        var joinSteps = input.JoinIn is { } join ? clock.FewestAtLeast(join.TotalSeconds, most) : 0;
        if (input.NoticeLeft is not { } left)
        {
            return Checked(clock, joinSteps, migration, input.JoinIn is not null, input.JoinIn is null
                ? "nothing leaves and nothing joins: now"
                : $"an instance is ready in {Sizes.Text(input.JoinIn.Value)}");
        }

        var noticeSteps = clock.MostBefore((left - migration).TotalSeconds, most);
        if (input.JoinIn is { } ready && ready + migration < left && joinSteps <= noticeSteps)
        {
            return Checked(clock, joinSteps, migration, true,
                $"an instance is ready in {Sizes.Text(ready)}, before the notice ends: one change for both");
        }

        var reason = $"{Sizes.Text(left)} are left and the migration takes {Sizes.Text(migration)}";
        if (input.JoinIn is not null) reason += "; the join comes too late for it and follows on its own";
        return Checked(clock, noticeSteps, migration, false, reason);
    }

    /// <summary>The paper's condition: migrate only if that takes less than what is served until then.</summary>
    private static CutOver Checked(StepClock clock, int steps, TimeSpan migration, bool includesJoin, string reason)
    {
        var served = clock.After(steps);
        if (migration.TotalSeconds < served || migration == TimeSpan.Zero)
        {
            return new CutOver.AfterSteps(steps, TimeSpan.FromSeconds(served), migration, includesJoin, reason);
        }

        return new CutOver.Reroute(
            $"{reason}; the migration takes {Sizes.Text(migration)}, no less than the "
            + $"{Sizes.Text(TimeSpan.FromSeconds(served))} that would be served before it");
    }

    private static CutOver CopyWhileServing(ArrangementInput input, TimeSpan preCopy, TimeSpan pause)
    {
        var (clock, most) = (input.Clock, input.StepsMax);
        var copied = clock.FewestAtLeast(preCopy.TotalSeconds, int.MaxValue);
        var withJoin = input.JoinIn is { } join
            ? clock.FewestAtLeast((join + preCopy).TotalSeconds, int.MaxValue)
            : copied;
        if (input.NoticeLeft is not { } left)
        {
            return After(clock, withJoin, pause, input.JoinIn is not null, input.JoinIn is null
                ? $"the copies take {Sizes.Text(preCopy)}"
                : $"an instance is ready in {Sizes.Text(input.JoinIn.Value)}, the copies take {Sizes.Text(preCopy)}");
        }

        var last = clock.MostBefore((left - pause).TotalSeconds, int.MaxValue);
        if (input.JoinIn is not null && withJoin <= last)
        {
            return After(clock, withJoin, pause, true,
                "the join's copies are in before the notice ends: one change for both");
        }

        var apart = input.JoinIn is null ? "" : "; the join comes too late for it and follows on its own";
        if (copied <= last)
        {
            return After(clock, copied, pause, false,
                $"the copies take {Sizes.Text(preCopy)} of {Sizes.Text(left)}{apart}");
        }

        // Pages first: what of the weights is not in by then comes from other holders or storage while nothing is
        // served.
        var missing = preCopy.TotalSeconds - clock.After(Math.Min(last, most));
        return last == 0
            ? new CutOver.Reroute(
                $"{Sizes.Text(left)} are left and handing over alone takes {Sizes.Text(pause)}{apart}")
            : After(clock, Math.Min(last, most), pause + TimeSpan.FromSeconds(Math.Max(0, missing)), false,
                $"the notice ends in {Sizes.Text(left)}, before the copies are in{apart}");
    }

    private static CutOver.AfterSteps After(
        StepClock clock, int steps, TimeSpan pause, bool includesJoin, string reason) =>
        new(steps, TimeSpan.FromSeconds(clock.After(steps)), pause, includesJoin, reason);
}
