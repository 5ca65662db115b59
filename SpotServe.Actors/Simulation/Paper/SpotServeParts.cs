using System.Collections.Immutable;

namespace SpotServe.Actors.Simulation;

/// <summary>Which parts of the paper's system are there: the ablation leaves them out one after another.</summary>
/// <param name="Controller">Degrees follow machines and rate; without it (P, M) stays what ten machines give.</param>
/// <param name="MigrationPlanner">Stages start as soon as their layers are in, and nobody waits for the last ones;
/// without it every change waits for all of it, and for the weight holders' restart.</param>
/// <param name="Arranger">Decoding goes on as long as the migration fits, and tokens are kept; without it everything
/// stops at the notice, and requests start over.</param>
/// <param name="Mapper">Devices get the positions whose bytes they have; without it they get them in order.</param>
internal sealed record SpotServeParts(
    bool Controller = true, bool MigrationPlanner = true, bool Arranger = true, bool Mapper = true)
{
    public static SpotServeParts All { get; } = new();

    /// <summary>The whole, then without the controller, and so on in the order of the paper's Fig. 9.</summary>
    public static ImmutableArray<SpotServeParts> OneAfterAnother { get; } =
    [
        All, new(Controller: false), new(false, MigrationPlanner: false), new(false, false, Arranger: false),
        new(false, false, false, Mapper: false),
    ];

    public override string ToString()
    {
        if (this == All) return "SpotServe";
        var without = new List<string>(4);
        if (!Controller) without.Add("controller");
        if (!MigrationPlanner) without.Add("migration planner");
        if (!Arranger) without.Add("arranger");
        if (!Mapper) without.Add("mapper");
        return "SpotServe without " + string.Join(", ", without);
    }
}
