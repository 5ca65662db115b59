using System.CommandLine;
using System.Globalization;
using SpotServe.Actors.ModelFolder;
using SpotServe.Node.Bench;
using TorchSharp;

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
            Description = "compare instead: repeated decodes bit by bit; on a GPU also the kernels with libtorch",
        };
        var command = new Command("bench", "Measure decode and prefill of a model shape with made weights.")
        {
            links, verify,
        };
        engine.AddTo(command);
        transfer.AddTo(command);
        ServeFlags serve = new();
        serve.AddTo(command);
        OtherFlags other = new();
        other.AddTo(command);
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
                if (serve.Read(parsed) is { } load)
                {
                    var (output, log) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
                    output.WriteLine(await ServeBench.RunAsync(engine.Read(parsed), load, log.WriteLine, cancel));
                    return 0;
                }

                var errors = parsed.InvocationConfiguration.Error;
                if (await other.RunAsync(parsed, engine, errors.WriteLine, cancel) is { } figures)
                {
                    parsed.InvocationConfiguration.Output.WriteLine(figures);
                    return 0;
                }

                return Run(parsed, engine.Read(parsed), parsed.GetValue(verify));
            }
            catch (Exception error) when (error is ArgumentException or TorchLoadException or ModelFormatException)
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
        var devices = BenchDevices.Open(
            options.Device, options.Devices, options.TorchLib, options.Threads, log.WriteLine);
        var failures = (devices.Count, devices[0].type) switch
        {
            ( > 1, _) => new RanksCheck(devices, output.WriteLine).Run(),
            (_, DeviceType.CUDA) => new KernelCheck(devices[0], output.WriteLine).Run(),
            _ => 0,
        };
        return repeated.UnequalSteps == 0 && failures == 0 ? 0 : 1;
    }

    /// <summary>The figures as text; medians over the rounds, with the range.</summary>
    internal static string Table(BenchResult result)
    {
        var options = result.Options;
        var decode = result.Rounds.Select(round => round.DecodeMilliseconds).Order().ToArray();
        var processor = result.Rounds.Select(round => round.ProcessorMilliseconds).Order().ToArray();
        var prefill = result.Rounds.Select(round => round.PrefillTokensPerSecond).Order().ToArray();
        var read = result.Rounds.Select(round => round.ReadGigabytes).Order().ToArray();
        var weights = result.Rounds
            .Select(round => result.StepBytes / (round.DecodeMilliseconds / 1e3) / 1e9).Order().ToArray();
        var floor = result.Rounds
            .Select(round => (result.StepBytes + result.KvBytes) / round.ReadGigabytes / 1e6).Order().ToArray();
        var share = result.Rounds
            .Select(round => (result.StepBytes + result.KvBytes) / round.ReadGigabytes / 1e6 / round.DecodeMilliseconds)
            .Order().ToArray();
        (string What, string Value)[] rows =
        [
            ("model", $"{options.Shape.Name} {options.Type}, batch {options.Batch}, context {options.Context}"),
            ("device", $"{result.Device}, layout P={options.Stages} M={options.Ranks}"),
            ("steps run on", result.Path),
            ("weights held", Format(result.WeightBytes / 1e6) + " MB"),
            ("weights a decode step", Format(result.StepBytes / 1e6) + " MB"),
            ("decode", Spread(decode, "ms/step")),
            ("decode, all sequences", Spread([.. decode.Reverse().Select(ms => options.Batch / ms * 1e3)], "tokens/s")),
            ("decode, processor time", Spread(processor, "ms/step")),
            ($"prefill of {options.PrefillTokens}", Spread(prefill, "tokens/s")),
            ("prefill's products", Products(result)),
            ("weights read in decode", Spread(weights, "GB/s")),
            ("memory, same moment", Spread(read, "GB/s")),
            ("floor, weights and cache", Spread(floor, "ms/step")),
            ("floor as a share", Spread([.. share.Select(part => part * 100)], "%")),
        ];
        return string.Join('\n', rows.Select(row => $"{row.What,-26}{row.Value}"));
    }

    /// <summary>What prefill's products alone come to, beside what a large product reaches on the device.</summary>
    private static string Products(BenchResult result)
    {
        var middle = result.Rounds.OrderBy(round => round.PrefillTokensPerSecond).ElementAt(result.Rounds.Count / 2);
        // The head is applied to one token only.
        var shape = result.Options.Shape;
        var weights = shape.WeightsRead - ((long)shape.Vocabulary * shape.Hidden);
        var reached = 2 * weights * middle.PrefillTokensPerSecond / 1e12;
        return $"{Format(reached)} TFLOP/s" + (middle.MatrixTeraflops is { } rate
            ? $", {Format(reached / rate * 100)} % of {Format(rate)}" : "");
    }

    private static string Spread(double[] sorted, string unit) =>
        $"{Format(sorted[sorted.Length / 2])} {unit} ({Format(sorted[0])} to {Format(sorted[^1])})";

    private static string Format(double value) =>
        Math.Round(value, value >= 100 ? 0 : 2).ToString(CultureInfo.InvariantCulture);
}
