using System.CommandLine;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.ModelFolder;
using SpotServe.Node.Engine;
using SpotServe.Node.Hosting;
using SpotServe.Node.Lifetime;
using SpotServe.Node.Preemption;
using SpotServe.Node.Preemption.Clouds;

namespace SpotServe.Node.Commands;

/// <summary>What SpotServe.Node does without a verb: joins a cluster and serves until told to go.</summary>
internal static class JoinCommand
{
    public const string ProgramName = "spotserve-node";

    /// <summary>After the parent's end, time to leave the cluster in order.</summary>
    private static readonly TimeSpan ParentLostGrace = TimeSpan.FromSeconds(3);

    public static void Configure(RootCommand root)
    {
        var flags = new NodeFlags();
        flags.AddTo(root);
        root.SetAction((parsed, cancel) => RunAsync(flags, parsed, cancel));
    }

    /// <exception cref="UsageException">An option's value is empty.</exception>
    public static ParseResult Checked(ParseResult parsed) =>
        EmptyOptions.Complaint(parsed) is { } complaint ? throw new UsageException(complaint) : parsed;

    /// <summary>Whether an exception's message is all that the user needs to see.</summary>
    public static bool IsExpected(Exception error) =>
        error is UsageException or ModelFormatException or TorchLoadException;

    private static async Task<int> RunAsync(NodeFlags flags, ParseResult parsed, CancellationToken cancel)
    {
        using var terminal = Terminal.Take();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        try
        {
            ParentWatch.StartIfAsked(ParentLostGrace, stop.Cancel);
            var options = flags.Read(parsed);
            Terminal.Speak(options.Log.Format);
            using var telemetry = TelemetryExport.Start(options.Telemetry, ProgramName);
            var clock = TimeProvider.System;
            using var signals = new StopSignals(options.Grace, clock, stop.Cancel);
            signals.Listen();
            await using var notices = new NoticeBoard([.. Sources(signals, options, clock)], Say);
            await using var node = await NodeHost.StartAsync(options, clock, stop.Token);
            return await node.RunAsync(notices, stop.Token);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 0;   // Told to stop before it had joined.
        }
    }

    private static IEnumerable<INoticeSource> Sources(StopSignals signals, NodeOptions options, TimeProvider clock)
    {
        yield return signals;
        if (options.NoticeFile is { } file) yield return new NoticeFile(file, options.Grace, clock);
        if (options.Cloud != CloudKind.None)
            yield return new DetectedCloud(options.Cloud, options.MetadataAddress, clock, Say);
    }

    private static void Say(string line) => Console.Error.WriteLine($"{ProgramName}: {line}");
}
