using System.Collections.Immutable;
using Akka.Actor;

namespace SpotServe.Actors.Hosting;

/// <summary>What one member knows when it decides whom the cluster gives up.</summary>
/// <param name="Controls">Control members, this one included if it is one, and for how long nothing was heard from each
/// (zero for this one).</param>
/// <param name="UnreachableGpus">Gpu members that somebody cannot reach, and for how long that has been so and nothing
/// was heard from them here.</param>
/// <param name="Replaced">Members whose address another process has now: they are gone, beyond doubt.</param>
internal sealed record DowningView(
    Address Self,
    bool IsControl,
    ImmutableDictionary<Address, TimeSpan> Controls,
    ImmutableDictionary<Address, TimeSpan> UnreachableGpus,
    ImmutableHashSet<Address> Replaced);

/// <summary>
/// Who is downed: only what control members see for themselves counts. A gpu member that finds no control member gives
/// itself up; control members give up gpu members that do not answer them; among control members the majority (of two,
/// the side of the lower address) gives up the others, and the minority itself, earlier. What gpu members say of each
/// other, or of control members, never counts: spot machines vanish together, and each leaves its last opinion of the
/// rest behind. A refused connection is no proof of an end, because a firewall refuses too; a new process is.
/// </summary>
internal static class DowningPolicy
{
    /// <summary>A control member not heard for this long counts as gone: longer than a pause of the process.</summary>
    public static readonly TimeSpan ControlSilenceMax = TimeSpan.FromSeconds(10);

    /// <summary>
    /// A control member that has not heard the majority for this long gives itself up: so much before the others give
    /// it up that its planner has stopped when theirs starts.
    /// </summary>
    public static readonly TimeSpan MinoritySilenceMax = TimeSpan.FromSeconds(8);

    /// <summary>A gpu member that has heard no control member for this long gives itself up.</summary>
    public static readonly TimeSpan AloneMax = TimeSpan.FromSeconds(12);

    /// <summary>A gpu member that is unreachable and silent for this long is downed.</summary>
    public static readonly TimeSpan GpuSilenceMax = TimeSpan.FromSeconds(7);

    /// <summary>Members to down; this one among them means that it gives itself up.</summary>
    public static ImmutableArray<Address> Decide(DowningView view)
    {
        if (!view.IsControl)
        {
            var isAlone = view.Controls.Count > 0 && view.Controls.All(
                control => control.Value >= AloneMax || view.Replaced.Contains(control.Key));
            return isAlone ? [view.Self] : [];
        }

        // One that was replaced is on nobody's side: neither does it hold this member up, nor does it count.
        var standing = view.Controls.Where(control => !view.Replaced.Contains(control.Key)).ToList();
        var silent = standing.Where(control => control.Value >= MinoritySilenceMax).Select(c => c.Key).ToList();
        if (silent.Count > 0 && !Outweighs(standing.Select(c => c.Key).Except(silent).ToList(), silent))
            return [view.Self];
        return
        [
            .. standing.Where(control => control.Value >= ControlSilenceMax).Select(control => control.Key),
            .. view.UnreachableGpus.Where(gpu => gpu.Value >= GpuSilenceMax).Select(gpu => gpu.Key),
            .. view.Replaced,
        ];
    }

    private static bool Outweighs(List<Address> here, List<Address> gone) =>
        here.Count != gone.Count
            ? here.Count > gone.Count
            : string.CompareOrdinal(here.Min(Name), gone.Min(Name)) < 0;

    private static string Name(Address address) => $"{address.Host}:{address.Port:00000}";
}
