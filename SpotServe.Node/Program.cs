using System.CommandLine;
using SpotServe.Node.Commands;
using SpotServe.Node.Engine.Bench;

var root = new RootCommand("A SpotServe node: joins a cluster and serves its share of the model.");
JoinCommand.Configure(root);
root.Subcommands.Add(BenchCommand.Create());
// Leaving the cluster in order takes longer than the library's two seconds; the node's own limits bound it.
return await root.Parse(args).InvokeAsync(
    new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromSeconds(20) });
