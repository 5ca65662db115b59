using System.CommandLine;
using SpotServe.Seed.Hosting;

namespace SpotServe.Seed.Commands;

/// <summary>The command line: no verb starts a whole cluster on this machine.</summary>
internal static class RootCommands
{
    public static RootCommand Create()
    {
        var root = new RootCommand(
            "SpotServe serves language models on preemptible machines. Without a verb: a seed and four nodes here.");
        LocalCommand.Configure(root);
        root.Subcommands.Add(ServeCommand.Create());
        root.Subcommands.Add(PlanCommand.Create());
        return root;
    }

    /// <summary>Runs a verb: what the user got wrong is one line on stderr and exit code 1.</summary>
    public static async Task<int> Guarded(Func<Task<int>> run)
    {
        try
        {
            return await run();
        }
        catch (Exception error) when (error is UsageException or ModelFolderException)
        {
            await Console.Error.WriteLineAsync($"spotserve: {error.Message}");
            return 1;
        }
    }
}
