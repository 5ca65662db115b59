using System.CommandLine;
using System.Globalization;

namespace SpotServe.Node.Engine.Bench;

/// <summary>What an engine is measured with, on the command line.</summary>
internal sealed class EngineFlags
{
    private readonly Option<string> _device = new("--device")
    {
        Description = "cpu, cuda or cuda:N",
        DefaultValueFactory = _ => "cpu",
    };

    private readonly Option<string> _shape = new("--shape")
    {
        Description = $"one of {string.Join(", ", BenchShape.All.Select(shape => shape.Name))}",
        DefaultValueFactory = _ => "160m",
    };

    private readonly Option<string> _type = new("--dtype")
    {
        Description = "float32, bfloat16 or float16",
        DefaultValueFactory = _ => "float32",
    };

    private readonly Option<string> _layout = new("--layout")
    {
        Description = "P,M: pipeline stages and tensor ranks, in this process",
        DefaultValueFactory = _ => "1,1",
    };

    private readonly Option<int> _batch = Number("--batch", "sequences that decode together", 1);
    private readonly Option<int> _threads =
        Number("--threads", "threads in all, shared by the ranks", Environment.ProcessorCount);

    private readonly Option<int> _context = Number("--context", "tokens in each sequence's cache", 64);
    private readonly Option<int> _steps = Number("--steps", "decode steps of a round", 32);
    private readonly Option<int> _rounds = Number("--rounds", "rounds; the median is reported", 3);
    private readonly Option<string?> _torchLib = new("--torch-lib")
    {
        Description = "lib folder of an installed PyTorch",
    };

    private readonly Option<int> _prefill =
        Number("--prefill", "tokens of the prompt that prefill is measured with", 512);

    private readonly Option<int> _devices =
        Number("--devices", "GPUs that the ranks of a stage are spread over, from --device on", 1);

    private readonly Option<bool> _plain = new("--plain")
    {
        Description = "only libtorch's operations, none of our kernels",
    };

    private readonly Option<string> _numerics = new("--numerics")
    {
        Description = NumericsNames.Help,
        DefaultValueFactory = _ => NumericsNames.Of(Numerics.Invariant),
    };

    public void AddTo(Command command)
    {
        Option[] all =
        [
            _device, _shape, _type, _batch, _layout, _threads, _context, _steps, _rounds, _prefill,
            _devices, _plain, _numerics, _torchLib,
        ];
        foreach (var option in all) command.Options.Add(option);
    }

    public int Rounds(ParseResult parsed) => parsed.GetValue(_rounds);

    /// <exception cref="ArgumentException">A value is none that can be measured.</exception>
    public BenchOptions Read(ParseResult parsed)
    {
        var (stages, ranks) = ParseLayout(parsed.GetValue(_layout)!);
        return new BenchOptions(
            parsed.GetValue(_device)!, BenchShape.Named(parsed.GetValue(_shape)!), ParseType(parsed.GetValue(_type)!),
            parsed.GetValue(_batch), stages, ranks, parsed.GetValue(_threads), parsed.GetValue(_context),
            parsed.GetValue(_steps), parsed.GetValue(_rounds), parsed.GetValue(_torchLib), parsed.GetValue(_plain),
            parsed.GetValue(_prefill), ParseNumerics(parsed.GetValue(_numerics)!),
            parsed.GetValue(_devices));
    }

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

    /// <exception cref="ArgumentException">The text is no layout.</exception>
    public static (int Stages, int Ranks) ParseLayout(string text)
    {
        var parts = text.Split(',');
        return parts.Length == 2
            && int.TryParse(parts[0], CultureInfo.InvariantCulture, out var stages)
            && int.TryParse(parts[1], CultureInfo.InvariantCulture, out var ranks)
                ? (stages, ranks)
                : throw new ArgumentException($"\"{text}\" is not a layout P,M, e.g. 2,1.");
    }

    private static Numerics ParseNumerics(string text) => NumericsNames.Parse(text)
        ?? throw new ArgumentException($"--numerics \"{text}\" is not invariant or fast.");

    private static ElementType ParseType(string text) => text switch
    {
        "float32" => ElementType.Float32,
        "float16" => ElementType.Float16,
        "bfloat16" => ElementType.BFloat16,
        _ => throw new ArgumentException($"--dtype \"{text}\" is not float32, float16 or bfloat16."),
    };
}
