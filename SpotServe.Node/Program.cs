using System.CommandLine;
using SpotServe.Actors.Hosting;
using SpotServe.Node.Commands;
using SpotServe.Node.Engine.Bench;

var root = new RootCommand("A SpotServe node: joins a cluster and serves its share of the model.");
JoinCommand.Configure(root);
root.Subcommands.Add(BenchCommand.Create());
// Signals are the join command's: to it SIGTERM is a notice with a grace period, not an end.
var invocation = new InvocationConfiguration
{
    ProcessTerminationTimeout = null,
    EnableDefaultExceptionHandler = false,
};
return await ProcessEdge.RunAsync(
    JoinCommand.ProgramName,
    () => JoinCommand.Checked(root.Parse(args)).InvokeAsync(invocation),
    JoinCommand.IsExpected);
