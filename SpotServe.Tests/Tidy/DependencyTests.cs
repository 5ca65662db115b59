using System.Text.RegularExpressions;
using Xunit;

namespace SpotServe.Tests.Tidy;

public sealed partial class DependencyTests
{
    [Theory]
    [InlineData("SpotServe.Actors/Planning")]
    [InlineData("SpotServe.Actors/Scheduling")]
    [InlineData("SpotServe.Actors/Planner/Core")]
    [InlineData("SpotServe.Actors/Fleet/Core")]
    [InlineData("SpotServe.Actors/Simulation")]
    public void Pure_folder_uses_neither_actors_nor_tensors_nor_clock_nor_files(string folder) =>
        Violations.AreNone(SourceFile.Below(folder, ".cs").SelectMany(file => file.Find(Impure())));

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

    [GeneratedRegex(@"\bTorchSharp\b|\btorch\.")]
    private static partial Regex Torch();

    [GeneratedRegex("Include=\"(TorchSharp|libtorch)")]
    private static partial Regex TorchPackage();
}
