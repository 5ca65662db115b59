using System.CommandLine;
using SpotServe.Actors.Execution;
using SpotServe.Seed.Hosting;

namespace SpotServe.Seed.Commands;

/// <summary>The command line: no verb starts a whole cluster on this machine.</summary>
internal static class RootCommands
{
    /// <summary>Longest time from SIGINT or SIGTERM to the end: more than any verb's own limits for stopping.</summary>
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(20);

    /// <summary>Runs the command line; the exit code is 0 when the user asked for the end.</summary>
    public static Task<int> InvokeAsync(string[] arguments) =>
        Create().Parse(arguments).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = StopMax });

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
    public static async Task<int> Guarded(Func<Task<int>> run, CancellationToken cancel)
    {
        try
        {
            return await run();
        }
        catch (Exception error) when (error is UsageException or ModelFolderException or ModelFormatException)
        {
            await Console.Error.WriteLineAsync($"spotserve: {error.Message}");
            return 1;
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            return 0;   // Asked to stop before it had started.
        }
    }
}
