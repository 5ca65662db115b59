using System.Text.RegularExpressions;
using Xunit;

namespace SpotServe.Tests.Tidy;

public sealed partial class DependencyTests
{
    [Theory]
    [InlineData("SpotServe.Actors/Vocabulary")]
    [InlineData("SpotServe.Actors/Planning")]
    [InlineData("SpotServe.Actors/Scheduling")]
    [InlineData("SpotServe.Actors/Planner/Core")]
    [InlineData("SpotServe.Actors/Fleet/Core")]
    [InlineData("SpotServe.Actors/Simulation")]
    public void Pure_folder_uses_neither_actors_nor_tensors_nor_clock_nor_files(string folder) =>
        Violations.AreNone(SourceFile.Below(folder, ".cs").SelectMany(file => file.Find(Impure())));

    /// <summary>
    /// Folders of SpotServe.Actors from the bottom to the top, those of one line side by side. A file may use what lies
    /// below its own folder and beside it, and nothing above.
    /// </summary>
    private static readonly string[] FromBottomToTop =
    [
        "Vocabulary",
        "ModelFolder",
        "Serialization Fragments Tracing Threads",
        "Metrics Persistence",
        "Planning",
        "Execution",
        "Scheduling",
        "DataPlane",
        "Remoting",
        "Replica",
        "Cluster",
        "Planner",
        "Requests",
        "Gateway",
        "Fleet",
        "Simulation",
        "Hosting",
    ];

    /// <summary>Files that translate, list or collect what others declare, and so must name what lies above
    /// them.</summary>
    private static readonly string[] Lists =
    [
        "SpotServe.Actors/Metrics/MetricCatalogue.cs",
        "SpotServe.Actors/Metrics/MetricsActor.cs",
        "SpotServe.Actors/Persistence/StoredEvents.cs",
        "SpotServe.Actors/Persistence/StoredFleetEvents.cs",
        "SpotServe.Actors/Persistence/StoredPlannerEvents.cs",
        "SpotServe.Actors/Persistence/StoredPlanningForms.cs",
        "SpotServe.Actors/Persistence/StoredSpec.cs",
    ];

    [Fact]
    public void Folders_depend_on_what_lies_below_them_and_on_nothing_above()
    {
        var heights = FromBottomToTop
            .SelectMany((line, height) => line.Split(' ').Select(folder => (folder, height)))
            .ToDictionary(pair => pair.folder, pair => pair.height);
        var files = SourceFile.Below("SpotServe.Actors", ".cs").Where(file => file.Path.Split('/').Length > 2).ToList();
        Assert.Equal(heights.Keys.Order(), files.Select(Folder).Distinct().Order());
        Assert.All(Lists, path => Assert.Contains(files, file => file.Path == path));

        Violations.AreNone(
            from file in files
            where !Lists.Contains(file.Path)
            from line in file.Lines
            let used = UsedFolder().Match(line)
            where used.Success && heights[used.Groups[1].Value] > heights[Folder(file)]
            select $"{file.Path}: {line}");
    }

    private static string Folder(SourceFile file) => file.Path.Split('/')[1];

    [Theory]
    [InlineData("SpotServe.Actors")]
    [InlineData("SpotServe.Seed")]
    public void Only_the_node_uses_torch(string project)
    {
        Violations.AreNone(SourceFile.Below(project, ".cs").SelectMany(file => file.Find(Torch())));
        Assert.DoesNotContain(
            SourceFile.Below(project, ".csproj").SelectMany(file => file.Lines), line => TorchPackage().IsMatch(line));
    }

    [GeneratedRegex(
        @"\b(Akka|IActorRef|TorchSharp|Stopwatch|TimeProvider|Environment)\b|\bFile\.|\bDirectory\.|\bConsole\.")]
    private static partial Regex Impure();

    [GeneratedRegex(@"^using (?:static )?SpotServe\.Actors\.(\w+)")]
    private static partial Regex UsedFolder();

    [GeneratedRegex(@"\bTorchSharp\b|\btorch\.")]
    private static partial Regex Torch();

    [GeneratedRegex("Include=\"(TorchSharp|libtorch)")]
    private static partial Regex TorchPackage();
}
