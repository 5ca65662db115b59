using System.Collections.Immutable;

namespace SpotServe.Tests.Mutations;

/// <summary>A bug put in by hand: a text of one source file that stands there exactly once, and what takes its
/// place.</summary>
/// <param name="Name">What the bug does, e.g. "scheduler: a short request slips past a long one".</param>
/// <param name="File">Below the checkout's root.</param>
/// <param name="Killers">The tests that must see it, the quickest first. One that fails is enough.</param>
internal sealed record Mutation(
    string Name, string File, string Text, string Replacement, params ImmutableArray<Killer> Killers)
{
    /// <summary>Why no test can or need see it; null for all others.</summary>
    public string? Survives { get; init; }

    /// <summary>The project that has to be built again.</summary>
    public string Project => File[..File.IndexOf('/', StringComparison.Ordinal)];

    /// <summary>The file as a checkout has it, or null when the text does not stand there exactly once.</summary>
    public string? SourceIn(string root)
    {
        var path = Path.Combine(root, File);
        if (!System.IO.File.Exists(path)) return null;
        var source = System.IO.File.ReadAllText(path);
        var at = source.IndexOf(Text, StringComparison.Ordinal);
        return at >= 0 && source.IndexOf(Text, at + 1, StringComparison.Ordinal) < 0 ? source : null;
    }
}

/// <summary>Tests that run together as one process.</summary>
/// <param name="Arguments">Of the test program.</param>
/// <param name="Environment">Settings on top of the process's own.</param>
internal sealed record Killer(string Arguments, ImmutableDictionary<string, string> Environment)
{
    /// <summary>All tests of a class.</summary>
    public static Killer Of<T>() => new($"-class {typeof(T).FullName}", ImmutableDictionary<string, string>.Empty);

    /// <summary>Simulated clusters, up to the first that breaks a law.</summary>
    public static Killer Seeds(int first, int count) => Of<Simulation.ClusterSimulationTests>() with
    {
        Environment = ImmutableDictionary<string, string>.Empty
            .Add("SPOTSERVE_SIM_FIRST", $"{first}")
            .Add("SPOTSERVE_SIM_SEEDS", $"{count}")
            .Add("SPOTSERVE_SIM_BROKEN", "1")
            .Add("SPOTSERVE_SIM_SECONDS", "600"),
    };

    public override string ToString() => Environment.TryGetValue("SPOTSERVE_SIM_SEEDS", out var seeds)
        ? $"{seeds} simulated clusters from seed {Environment["SPOTSERVE_SIM_FIRST"]}"
        : Arguments[(Arguments.LastIndexOf('.') + 1)..];
}
