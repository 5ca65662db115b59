using System.CommandLine;
using SpotServe.Node.Commands;
using SpotServe.Node.Engine.Bench;

var root = new RootCommand("A SpotServe node: joins a cluster and serves its share of the model.");
JoinCommand.Configure(root);
root.Subcommands.Add(BenchCommand.Create());
return await root.Parse(args).InvokeAsync();
