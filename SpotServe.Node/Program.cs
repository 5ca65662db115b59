using System.CommandLine;
using SpotServe.Node.Commands;

var root = new RootCommand("A SpotServe node: joins a cluster and serves its share of the model.");
JoinCommand.Configure(root);
return await root.Parse(args).InvokeAsync();
