using SpotServe.Seed.Fleet;
using Xunit;

namespace SpotServe.Tests.Fleet;

public sealed class NodeProgramTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("spotserve-").FullName;

    [Fact]
    public void Variable_wins_and_an_executable_is_started_as_it_is()
    {
        var executable = Touch("mynode");

        Assert.Equal(executable, NodeProgram.Locate(executable, _root).FileName);
    }

    [Fact]
    public void Assembly_is_started_by_the_host_of_this_runtime()
    {
        var assembly = Touch("mynode.dll");

        var program = NodeProgram.Locate(assembly, _root);

        Assert.Equal("dotnet", Path.GetFileNameWithoutExtension(program.FileName));
        Assert.True(File.Exists(program.FileName));
        Assert.Equal([assembly], program.Arguments);
    }

    [Fact]
    public void Node_of_the_sibling_project_is_found_in_the_same_configuration()
    {
        var seed = Directory.CreateDirectory(Path.Combine(_root, "SpotServe.Seed/bin/Release/net10.0")).FullName;
        Touch("SpotServe.Node/bin/Debug/net10.0/SpotServe.Node.dll");
        Touch("SpotServe.Node/bin/Debug/net10.0/SpotServe.Node.runtimeconfig.json");
        var node = Touch("SpotServe.Node/bin/Release/net10.0/SpotServe.Node.dll");
        Touch("SpotServe.Node/bin/Release/net10.0/SpotServe.Node.runtimeconfig.json");

        Assert.Equal([node], NodeProgram.Locate(null, seed + "/").Arguments);
    }

    [Fact]
    public void Node_beside_the_seed_comes_before_the_sibling_project()
    {
        var beside = Touch("app/SpotServe.Node.dll");
        Touch("app/SpotServe.Node.runtimeconfig.json");

        Assert.Equal([beside], NodeProgram.Locate("", Path.Combine(_root, "app")).Arguments);
    }

    [Fact]
    public void Node_of_a_published_folder_that_brings_its_runtime_is_started_without_another_one()
    {
        var node = Touch("app/node/SpotServe.Node.dll");
        Touch("app/node/SpotServe.Node.runtimeconfig.json");
        var shared = NodeProgram.Locate("", Path.Combine(_root, "app"));
        Touch("app/node/libhostfxr.so");
        var whole = NodeProgram.Locate("", Path.Combine(_root, "app"));

        Assert.Equal([node], shared.Arguments);
        Assert.Equal((node[..^".dll".Length], 0), (whole.FileName, whole.Arguments.Length));
    }

    [Fact]
    public void Missing_node_is_an_error_that_says_where_it_was_looked_for()
    {
        var seed = Path.Combine(_root, "a/b/c/d");

        var error = Assert.Throws<FileNotFoundException>(() => NodeProgram.Locate(null, seed));

        Assert.Contains(seed, error.Message, StringComparison.Ordinal);
        Assert.Contains(NodeProgram.Variable, error.Message, StringComparison.Ordinal);
        Assert.Throws<FileNotFoundException>(() => NodeProgram.Locate("/no/such/node", _root));
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private string Touch(string name)
    {
        var path = Path.Combine(_root, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, "");
        return path;
    }
}
