using System.Collections.Immutable;
using Akka.Actor;

namespace SpotServe.Actors.Hosting;

/// <summary>What one member knows when it decides whom the cluster gives up.</summary>
/// <param name="Controls">Control members, this one included if it is one, and for how long nothing was heard from each
/// (zero for this one).</param>
/// <param name="UnreachableGpus">Gpu members that somebody cannot reach, and for how long that has been so and nothing
/// was heard from them here.</param>
internal sealed record DowningView(
    Address Self,
    bool IsControl,
    ImmutableDictionary<Address, TimeSpan> Controls,
    ImmutableDictionary<Address, TimeSpan> UnreachableGpus);

/// <summary>
/// Who is downed: only what control members see for themselves counts. A gpu member that finds no control member gives
/// itself up; control members give up gpu members that do not answer them; among control members the majority (of two,
/// the side of the lower address) gives up the others. What gpu members say of each other, or of control members, never
/// counts: spot machines vanish together, and each leaves its last opinion of the rest behind.
/// </summary>
internal static class DowningPolicy
{
    /// <summary>A control member not heard for this long counts as gone: longer than a pause of the process.</summary>
    public static readonly TimeSpan ControlSilenceMax = TimeSpan.FromSeconds(12);

    /// <summary>A gpu member that is unreachable and silent for this long is downed.</summary>
    public static readonly TimeSpan GpuSilenceMax = TimeSpan.FromSeconds(7);

    /// <summary>Members to down; this one among them means that it gives itself up.</summary>
    public static ImmutableArray<Address> Decide(DowningView view)
    {
        var here = view.Controls.Where(control => control.Value < ControlSilenceMax).Select(control => control.Key)
            .ToImmutableHashSet();
        if (!view.IsControl) return view.Controls.Count > 0 && here.IsEmpty ? [view.Self] : [];
        var gone = view.Controls.Keys.Except(here).ToList();
        if (gone.Count > 0 && !Outweighs(here, gone)) return [view.Self];
        return
        [
            .. gone,
            .. view.UnreachableGpus.Where(gpu => gpu.Value >= GpuSilenceMax).Select(gpu => gpu.Key),
        ];
    }

    private static bool Outweighs(ImmutableHashSet<Address> here, List<Address> gone) =>
        here.Count != gone.Count
            ? here.Count > gone.Count
            : string.CompareOrdinal(here.Min(Name), gone.Min(Name)) < 0;

    private static string Name(Address address) => $"{address.Host}:{address.Port:00000}";
}
