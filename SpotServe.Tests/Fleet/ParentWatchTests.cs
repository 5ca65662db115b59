using System.Diagnostics;
using System.Globalization;
using System.IO.Pipes;
using SpotServe.Node.Lifetime;
using SpotServe.Seed.Fleet;
using Xunit;

namespace SpotServe.Tests.Fleet;

public sealed class ParentWatchTests
{
    private static readonly TimeSpan Limit = Waits.Max;
    private static readonly TimeSpan Never = TimeSpan.FromHours(1);

    [Fact]
    public async Task Nothing_happens_while_the_parent_lives_and_all_when_it_ends()
    {
        var lost = new TaskCompletionSource();
        await using var parent = new AnonymousPipeServerStream(PipeDirection.Out);
        var child = new AnonymousPipeClientStream(PipeDirection.In, parent.ClientSafePipeHandle);
        ParentWatch.Start(child, Never, lost.SetResult, () => { });

        parent.Write("typed by mistake\n"u8);
        parent.Flush();
        Assert.False(lost.Task.IsCompleted);
        parent.Close();

        await lost.Task.WaitAsync(Limit, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Parent_that_ended_before_the_watch_began_is_noticed()
    {
        var lost = new TaskCompletionSource();

        ParentWatch.Start(Stream.Null, Never, lost.SetResult, () => { });

        await lost.Task.WaitAsync(Limit, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Stop_that_hangs_is_cut_short_after_the_grace_time()
    {
        var ended = new TaskCompletionSource();
        using var hang = new ManualResetEvent(initialState: false);

        ParentWatch.Start(Stream.Null, TimeSpan.FromMilliseconds(50), () => hang.WaitOne(), ended.SetResult);

        await ended.Task.WaitAsync(Limit, TestContext.Current.CancellationToken);
        hang.Set();
    }

    // Three generations of real processes: this test, a parent with a fleet (the test program itself, running only
    // Parent_process), and its nodes (the test program, running only Node_process).
    [Fact]
    public async Task Killed_parent_leaves_no_node_behind()
    {
        using var parent = StartTestProgram(nameof(Parent_process));
        var nodes = new List<int>();
        while (nodes.Count < 2)
        {
            var line = await parent.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken)
                .AsTask().WaitAsync(Limit, TestContext.Current.CancellationToken);
            Assert.NotNull(line);
            var at = line.IndexOf("node ready ", StringComparison.Ordinal);
            if (at >= 0) nodes.Add(int.Parse(line[(at + "node ready ".Length)..], CultureInfo.InvariantCulture));
        }

        Assert.All(nodes, node => Assert.True(Processes.IsRunning(node)));
        var exits = nodes
            .Select(node => Process.GetProcessById(node).WaitForExitAsync(TestContext.Current.CancellationToken))
            .ToArray();
        parent.Kill();

        await Task.WhenAll(exits).WaitAsync(Limit, TestContext.Current.CancellationToken);
        Assert.All(nodes, node => Assert.False(Processes.IsRunning(node)));
    }

    /// <summary>Not a test: the parent of <see cref="Killed_parent_leaves_no_node_behind"/>.</summary>
    [Fact(Explicit = true)]
    public async Task Parent_process()
    {
        SkipUnlessStartedAs(nameof(Parent_process));
        var output = Console.OpenStandardOutput();
        await using var fleet = new LocalFleet(
            new LocalFleetOptions
            {
                Program = new NodeProgram(TestProgram, [.. ArgumentsFor(nameof(Node_process))]),
                NodeCount = 2,
                Environment = new Dictionary<string, string> { [Role] = nameof(Node_process) },
            },
            (_, line) => output.Write(System.Text.Encoding.UTF8.GetBytes(line + "\n")),
            _ => { });
        fleet.Start([]);
        fleet.Start([]);

        await new TaskCompletionSource().Task.WaitAsync(Limit, TestContext.Current.CancellationToken);
    }

    /// <summary>Not a test: a node of <see cref="Parent_process"/> that ignores the request to stop.</summary>
    [Fact(Explicit = true)]
    public async Task Node_process()
    {
        SkipUnlessStartedAs(nameof(Node_process));
        Assert.True(ParentWatch.StartIfAsked(TimeSpan.FromMilliseconds(100), () => { }));
        await using (var output = Console.OpenStandardOutput())
            output.Write(System.Text.Encoding.UTF8.GetBytes($"node ready {Environment.ProcessId}\n"));

        await new TaskCompletionSource().Task.WaitAsync(Limit, TestContext.Current.CancellationToken);
    }

    private const string Role = "SPOTSERVE_TEST_ROLE";

    private static string TestProgram => Path.Combine(AppContext.BaseDirectory, "SpotServe.Tests");

    private static void SkipUnlessStartedAs(string role)
    {
        if (Environment.GetEnvironmentVariable(Role) != role) Assert.Skip("Runs only when another test starts it.");
    }

    private static IEnumerable<string> ArgumentsFor(string method) =>
        ["-method", $"{typeof(ParentWatchTests).FullName}.{method}", "-explicit", "only", "-noColor"];

    private static Process StartTestProgram(string method)
    {
        var start = new ProcessStartInfo(TestProgram, ArgumentsFor(method)) { RedirectStandardOutput = true };
        start.Environment[Role] = method;
        return Process.Start(start)!;
    }
}
