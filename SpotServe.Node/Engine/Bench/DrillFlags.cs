using System.CommandLine;
using System.Diagnostics;
using System.Globalization;

namespace SpotServe.Node.Engine.Bench;

/// <summary>The flags of `bench --drill`.</summary>
internal sealed class DrillFlags
{
    private readonly Option<bool> _drill = new("--drill")
    {
        Description = "let ranks on the GPUs of --devices go away, abandon steps, break and be stopped instead, and "
            + "look at what that costs the others",
    };

    private readonly Option<int?> _rank = new("--drill-rank") { Hidden = true };
    private readonly Option<bool> _stopped = new("--drill-stopped") { Hidden = true };

    public void AddTo(Command command)
    {
        command.Options.Add(_drill);
        command.Options.Add(_rank);
        command.Options.Add(_stopped);
    }

    /// <returns>Checks that failed; null when it was not asked for.</returns>
    /// <exception cref="ArgumentException">There are too few devices.</exception>
    public async Task<int?> RunIfAskedAsync(ParseResult parsed, EngineFlags engine, CancellationToken cancel)
    {
        var output = parsed.InvocationConfiguration.Output;
        if (parsed.GetValue(_rank) is { } rank)
        {
            return new DeviceDrill(Devices(parsed, engine), output.WriteLine).Run(rank);
        }

        if (parsed.GetValue(_stopped))
            return StopDrill.RunRanks(Devices(parsed, engine), Console.In, output.WriteLine);
        if (!parsed.GetValue(_drill)) return null;
        var count = engine.Read(parsed).Devices;
        if (count < 2) throw new ArgumentException($"--drill needs --devices of at least 2, not {count}.");
        var devices = Devices(parsed, engine);
        var failures = new RanksDrill(devices, output.WriteLine).Run();
        using (var child = Start(parsed, _stopped.Name))
            failures += await StopDrill.RunAsync(child, devices, output.WriteLine, cancel).ConfigureAwait(false);
        // A process cannot use a device again that broke in it; the next one can, and the last one looks.
        for (var broken = 0; broken <= count; broken++)
            failures += await RunAsync(parsed, broken, output, cancel).ConfigureAwait(false) == 0 ? 0 : 1;
        return failures;
    }

    private static IReadOnlyList<TorchSharp.torch.Device> Devices(ParseResult parsed, EngineFlags engine)
    {
        var options = engine.Read(parsed);
        return BenchDevices.Open(
            options.Device, options.Devices, options.TorchLib, options.Threads,
            parsed.InvocationConfiguration.Output.WriteLine);
    }

    private static async Task<int> RunAsync(ParseResult parsed, int rank, TextWriter output, CancellationToken cancel)
    {
        using var child = Start(parsed, "--drill-rank", rank.ToString(CultureInfo.InvariantCulture));
        while (await child.StandardOutput.ReadLineAsync(cancel).ConfigureAwait(false) is { } line)
            await output.WriteLineAsync(line).ConfigureAwait(false);
        await child.WaitForExitAsync(cancel).ConfigureAwait(false);
        if (child.ExitCode > 1)
        {
            await output.WriteLineAsync($"FAIL the process whose rank {rank} broke ended with {child.ExitCode}")
                .ConfigureAwait(false);
        }

        return child.ExitCode;
    }

    /// <summary>This program with the same flags and some more.</summary>
    private static Process Start(ParseResult parsed, params ReadOnlySpan<string> more)
    {
        var program = Environment.ProcessPath ?? "dotnet";
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true };
        var isHost = Path.GetFileNameWithoutExtension(program).Equals("dotnet", StringComparison.OrdinalIgnoreCase);
        if (isHost) start.ArgumentList.Add(typeof(DrillFlags).Assembly.Location);
        foreach (var token in parsed.Tokens) start.ArgumentList.Add(token.Value);
        foreach (var flag in more) start.ArgumentList.Add(flag);
        return Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start.");
    }
}
