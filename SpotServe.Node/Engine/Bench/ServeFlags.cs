using System.CommandLine;

namespace SpotServe.Node.Engine.Bench;

/// <summary>What is served, on the command line.</summary>
internal sealed class ServeFlags
{
    private readonly Option<int?> _requests = new("--serve")
    {
        Description = "serve this many made requests through scheduler and data plane instead",
    };

    private readonly Option<int> _input = new("--input")
    {
        Description = "prompt tokens of each request served",
        DefaultValueFactory = _ => 512,
    };

    private readonly Option<int> _output = new("--output")
    {
        Description = "tokens generated for each request served",
        DefaultValueFactory = _ => 128,
    };

    private readonly Option<double?> _rate = new("--rate")
    {
        Description = "requests a second, arriving at random; all at once when it is not given",
    };

    private readonly Option<int> _stepTokens = new("--step-tokens")
    {
        Description = "tokens of a step at most; a prompt is cut at multiples of three quarters of it",
        DefaultValueFactory = _ => 2048,
    };

    public void AddTo(Command command)
    {
        Option[] all = [_requests, _input, _output, _rate, _stepTokens];
        foreach (var option in all) command.Options.Add(option);
    }

    /// <summary>Null when serving was not asked for.</summary>
    /// <exception cref="ArgumentException">A number is not positive.</exception>
    public ServeLoad? Read(ParseResult parsed)
    {
        if (parsed.GetValue(_requests) is not { } requests) return null;
        var load = new ServeLoad(
            requests, parsed.GetValue(_input), parsed.GetValue(_output), parsed.GetValue(_rate),
            parsed.GetValue(_stepTokens));
        return load is
        {
            Requests: >= 1, PromptTokens: >= 1, OutputTokens: >= 1, RequestsPerSecond: null or > 0,
            StepTokensMax: >= 16 and <= 65_536,
        }
            ? load
            : throw new ArgumentException(
                "--serve, --input, --output and --rate must be positive, --step-tokens 16 to 65536.");
    }
}
