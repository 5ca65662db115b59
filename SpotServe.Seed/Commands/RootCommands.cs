using System.CommandLine;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.ModelFolder;
using SpotServe.Seed.Hosting;

namespace SpotServe.Seed.Commands;

/// <summary>The command line: no verb starts a whole cluster on this machine.</summary>
internal static class RootCommands
{
    private const string ProgramName = "spotserve";

    /// <summary>Longest time from SIGINT or SIGTERM to the end: more than any verb's own limits for stopping.</summary>
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(20);

    /// <summary>Runs the command line; the exit code is 0 when the user asked for the end.</summary>
    public static Task<int> InvokeAsync(string[] arguments) => ProcessEdge.RunAsync(
        ProgramName,
        () => Parse(arguments).InvokeAsync(new InvocationConfiguration
        {
            ProcessTerminationTimeout = StopMax,
            EnableDefaultExceptionHandler = false,
        }),
        IsExpected);

    /// <exception cref="UsageException">An option's value is empty.</exception>
    public static ParseResult Parse(string[] arguments)
    {
        var parsed = Create().Parse(arguments);
        return EmptyOptions.Complaint(parsed) is { } complaint ? throw new UsageException(complaint) : parsed;
    }

    public static RootCommand Create()
    {
        var root = new RootCommand(
            "SpotServe serves language models on preemptible machines. Without a verb: a seed and four nodes here.");
        LocalCommand.Configure(root);
        root.Subcommands.Add(ServeCommand.Create());
        root.Subcommands.Add(PlanCommand.Create());
        root.Subcommands.Add(SimulateCommand.Create());
        root.Subcommands.Add(ChatCommand.Create());
        root.Subcommands.Add(TopCommand.Create());
        root.Subcommands.Add(BenchCommand.Create());
        root.Subcommands.Add(LibtorchCommand.Create());
        return root;
    }

    /// <summary>Runs a verb that serves until it is told to stop.</summary>
    public static async Task<int> Serving(Func<Task<int>> run, CancellationToken cancel)
    {
        using var terminal = Terminal.Take();
        try
        {
            return await run();
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            return 0;   // Asked to stop before it had started.
        }
    }

    /// <summary>What the user got wrong, said so that they can mend it.</summary>
    private static bool IsExpected(Exception error) =>
        error is UsageException or ModelFolderException or ModelFormatException;
}
