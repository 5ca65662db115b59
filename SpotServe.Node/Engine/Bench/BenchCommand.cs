using System.CommandLine;
using System.Globalization;
using SpotServe.Node.Bench;

namespace SpotServe.Node.Engine.Bench;

/// <summary>The verb "bench": how fast this machine runs a model shape, beside what its memory allows.</summary>
public static class BenchCommand
{
    public static Command Create()
    {
        EngineFlags engine = new();
        TransferFlags transfer = new();
        Option<bool> links = new("--links")
        {
            Description = "measure the data plane instead: all-reduce and hand-off beside a bare socket",
        };
        Option<bool> verify = new("--verify")
        {
            Description = "compare instead of measuring: run the same decode --rounds times, logits bit by bit",
        };
        var command = new Command("bench", "Measure decode and prefill of a model shape with made weights.")
        {
            links, verify,
        };
        engine.AddTo(command);
        transfer.AddTo(command);
        command.SetAction(async (parsed, cancel) =>
        {
            if (parsed.GetValue(links))
            {
                await DataPlaneBench.RunAsync(parsed.InvocationConfiguration.Output, cancel);
                return 0;
            }

            if (await transfer.RunIfAskedAsync(parsed, engine.Rounds(parsed), cancel)) return 0;
            try
            {
                return Run(parsed, engine.Read(parsed), parsed.GetValue(verify));
            }
            catch (Exception error) when (error is ArgumentException or TorchLoadException)
            {
                parsed.InvocationConfiguration.Error.WriteLine($"bench: {error.Message}");
                return 1;
            }
        });
        return command;
    }

    private static int Run(ParseResult parsed, BenchOptions options, bool verifies)
    {
        var (output, log) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        if (!verifies)
        {
            output.WriteLine(Table(EngineBench.Run(options, log.WriteLine)));
            return 0;
        }

        var repeated = RepeatCheck.Run(options, log.WriteLine);
        output.WriteLine(repeated);
        return repeated.UnequalSteps == 0 ? 0 : 1;
    }

    /// <summary>The figures as text; medians over the rounds, with the range.</summary>
    internal static string Table(BenchResult result)
    {
        var options = result.Options;
        var decode = result.Rounds.Select(round => round.DecodeMilliseconds).Order().ToArray();
        var prefill = result.Rounds.Select(round => round.PrefillTokensPerSecond).Order().ToArray();
        var read = result.Rounds.Select(round => round.ReadGigabytes).Order().ToArray();
        var weights = result.Rounds
            .Select(round => result.StepBytes / (round.DecodeMilliseconds / 1e3) / 1e9).Order().ToArray();
        var share = result.Rounds
            .Select(round => result.StepBytes / (round.DecodeMilliseconds / 1e3) / 1e9 / round.ReadGigabytes)
            .Order().ToArray();
        (string What, string Value)[] rows =
        [
            ("model", $"{options.Shape.Name} {options.Type}, batch {options.Batch}, context {options.Context}"),
            ("device", $"{result.Device}, layout P={options.Stages} M={options.Ranks}"),
            ("weights held", Format(result.WeightBytes / 1e6) + " MB"),
            ("weights a decode step", Format(result.StepBytes / 1e6) + " MB"),
            ("decode", Spread(decode, "ms/step")),
            ("decode, all sequences", Spread([.. decode.Reverse().Select(ms => options.Batch / ms * 1e3)], "tokens/s")),
            ("prefill of 512", Spread(prefill, "tokens/s")),
            ("weights read in decode", Spread(weights, "GB/s")),
            ("memory, same moment", Spread(read, "GB/s")),
            ("share of memory's rate", Spread([.. share.Select(part => part * 100)], "%")),
        ];
        return string.Join('\n', rows.Select(row => $"{row.What,-24}{row.Value}"));
    }

    private static string Spread(double[] sorted, string unit) =>
        $"{Format(sorted[sorted.Length / 2])} {unit} ({Format(sorted[0])} to {Format(sorted[^1])})";

    private static string Format(double value) =>
        Math.Round(value, value >= 100 ? 0 : 2).ToString(CultureInfo.InvariantCulture);
}
