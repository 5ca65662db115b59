using System.CommandLine;
using System.Globalization;
using SpotServe.Actors.Planning;
using SpotServe.Node.Bench;

namespace SpotServe.Node.Engine.Bench;

/// <summary>The verb "bench": how fast this machine runs a model shape, beside what its memory allows.</summary>
public static class BenchCommand
{
    public static Command Create()
    {
        Option<string> device = new("--device")
        {
            Description = "cpu, cuda or cuda:N",
            DefaultValueFactory = _ => "cpu",
        };
        Option<string> shape = new("--shape")
        {
            Description = "tiny, 160m, 1b or 7b",
            DefaultValueFactory = _ => "160m",
        };
        Option<string> type = new("--dtype")
        {
            Description = "float32, bfloat16 or float16",
            DefaultValueFactory = _ => "float32",
        };
        Option<string> layout = new("--layout")
        {
            Description = "P,M: pipeline stages and tensor ranks, in this process",
            DefaultValueFactory = _ => "1,1",
        };
        var batch = Number("--batch", "sequences that decode together", 1);
        var threads = Number("--threads", "threads in all, shared by the ranks", Environment.ProcessorCount);
        var context = Number("--context", "tokens in each sequence's cache", 64);
        var steps = Number("--steps", "decode steps of a round", 32);
        var rounds = Number("--rounds", "rounds; the median is reported", 3);
        Option<bool> links = new("--links")
        {
            Description = "measure the data plane instead: all-reduce and hand-off beside a bare socket",
        };
        TransferFlags transfer = new();
        Option<string?> torchLib = new("--torch-lib") { Description = "lib folder of an installed PyTorch" };

        var command = new Command("bench", "Measure decode and prefill of a model shape with made weights.")
        {
            device, shape, type, batch, layout, threads, context, steps, rounds, links, torchLib,
        };
        transfer.AddTo(command);
        command.SetAction(async (parsed, cancel) =>
        {
            if (parsed.GetValue(links))
            {
                await DataPlaneBench.RunAsync(parsed.InvocationConfiguration.Output, cancel);
                return 0;
            }

            if (await transfer.RunIfAskedAsync(parsed, parsed.GetValue(rounds), cancel)) return 0;
            try
            {
                var (stages, ranks) = ParseLayout(parsed.GetValue(layout)!);
                var result = EngineBench.Run(
                    new BenchOptions(
                        parsed.GetValue(device)!, BenchShape.Named(parsed.GetValue(shape)!),
                        ParseType(parsed.GetValue(type)!), parsed.GetValue(batch), stages, ranks,
                        parsed.GetValue(threads), parsed.GetValue(context), parsed.GetValue(steps),
                        parsed.GetValue(rounds), parsed.GetValue(torchLib)),
                    parsed.InvocationConfiguration.Error.WriteLine);
                parsed.InvocationConfiguration.Output.WriteLine(Table(result));
                return 0;
            }
            catch (Exception error) when (error is ArgumentException or TorchLoadException)
            {
                parsed.InvocationConfiguration.Error.WriteLine($"bench: {error.Message}");
                return 1;
            }
        });
        return command;
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

    private static Option<int> Number(string name, string description, int value)
    {
        var option = new Option<int>(name) { Description = description, DefaultValueFactory = _ => value };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && result.GetValueOrDefault<int>() is < 1 or > 1 << 20)
                result.AddError($"{name} must be 1 to {1 << 20}.");
        });
        return option;
    }

    private static (int Stages, int Ranks) ParseLayout(string text)
    {
        var parts = text.Split(',');
        return parts.Length == 2
            && int.TryParse(parts[0], CultureInfo.InvariantCulture, out var stages)
            && int.TryParse(parts[1], CultureInfo.InvariantCulture, out var ranks)
                ? (stages, ranks)
                : throw new ArgumentException($"--layout \"{text}\" is not P,M, e.g. 2,1.");
    }

    private static ElementType ParseType(string text) => text switch
    {
        "float32" => ElementType.Float32,
        "float16" => ElementType.Float16,
        "bfloat16" => ElementType.BFloat16,
        _ => throw new ArgumentException($"--dtype \"{text}\" is not float32, float16 or bfloat16."),
    };
}
