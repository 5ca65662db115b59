using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Spectre.Console;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Commands;

/// <summary>`plan`: which layout a fleet would get, and how it would get there. Starts nothing and changes
/// nothing.</summary>
public static class PlanCommand
{
    private const int TableWidth = 160;

    private static readonly Argument<FileInfo?> File = new("file")
    {
        Description = "JSON that describes model, instances, load and current layout: see docs/plan.md",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Option<string> Model = new("--model")
    {
        Description = "A preset (gpt-20b, opt-6.7b, llama-7b, llama-30b, llama-70b) or the path of a config.json",
    };

    private static readonly Option<string> Instances = new("--instances")
    {
        Description = "COUNTxDEVICESxKIND, e.g. 8x4xT4; several with commas",
    };

    private static readonly Option<double?> Rate = new("--rate") { Description = "Requests per second" };
    private static readonly Option<int?> Prompt = new("--prompt") { Description = "Tokens of a prompt" };
    private static readonly Option<int?> Output = new("--output") { Description = "Tokens of an output" };

    private static readonly Option<string> Objective = new("--objective")
    {
        Description = "latency (default), throughput or slo",
    };

    private static readonly Option<double?> SloSeconds = new("--slo-seconds") { Description = "Latency target of slo" };

    private static readonly Option<string> Batching = new("--batching")
    {
        Description = "continuous (default) or fixed",
    };

    private static readonly Option<string> Current = new("--current")
    {
        Description = "The layout that serves now, as D,P,M,B; on the instances in order",
    };

    private static readonly Option<int?> Cached = new("--cached") { Description = "Tokens in the cache per request" };

    private static readonly Option<string[]> Leave = new("--leave")
    {
        Description = "Names of instances that were preempted (node0, node1, ...)",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<double> Grace = new("--grace")
    {
        Description = "Seconds left to them",
        DefaultValueFactory = _ => 30,
    };

    private static readonly Option<int> Steps = new("--steps")
    {
        Description = "Migration steps to print",
        DefaultValueFactory = _ => 40,
    };

    private static readonly Option<FileInfo?> Input = new("--input")
    {
        Description = "What a cluster's GET /admin/planning-input answered: plans what its latest decision was made "
            + "from",
    };

    private static readonly Option<bool> Present = new("--present")
    {
        Description = "With --input: plans what a decision would be made from now",
    };

    private static readonly Option<bool> Json = new("--json") { Description = "Print JSON, with all steps" };

    /// <summary>The command, for the root command to take in.</summary>
    public static Command Create()
    {
        var command = new Command("plan", "Choose a layout for a fleet and plan the migration to it")
        {
            File, Model, Instances, Rate, Prompt, Output, Objective, SloSeconds, Batching, Current, Cached, Leave,
            Grace, Steps, Json, Input, Present,
        };
        command.SetAction(result => Run(
            result, result.InvocationConfiguration.Output, result.InvocationConfiguration.Error));
        return command;
    }

    private static int Run(ParseResult result, TextWriter output, TextWriter error)
    {
        try
        {
            var inputs = result.GetValue(Input) is { } input
                ? Told(input, result.GetValue(Present))
                : PlanRequestBuilder.Build(Describe(result));
            var plan = ReconfigurationPlanner.Plan(inputs);
            if (result.GetValue(Json)) WriteJson(inputs, plan, output);
            else WriteTables(inputs, plan, result.GetValue(Steps), output);
            return 0;
        }
        catch (Exception refused) when (refused is PlanningException or JsonException or IOException
            or UnauthorizedAccessException)
        {
            error.WriteLine($"plan: {refused.Message}");
            return 1;
        }
    }

    /// <summary>What a live planner decides from.</summary>
    private static PlanningInputs Told(FileInfo file, bool present)
    {
        var record = PlanningInputsJson.Read(System.IO.File.ReadAllText(file.FullName));
        return (present ? record.Present : record.Decided) ?? throw new PlanningInputException(
            $"What {file.Name} has of {(present ? "the present" : "the latest decision")}",
            null,
            present ? "there once a node has joined" : "there once a layout was decided; --present plans from now");
    }

    private static void WriteTables(
        PlanningInputs inputs, Reconfiguration plan, int stepsMax, TextWriter output)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
        // Piped output has no width of its own; tables that wrap at 80 columns cannot be read.
        if (console.Profile.Width < TableWidth) console.Profile.Width = TableWidth;
        new PlanReport(console, Math.Max(0, stepsMax)).Write(inputs, plan);
    }

    private static void WriteJson(PlanningInputs inputs, Reconfiguration plan, TextWriter output)
    {
        using var buffer = new MemoryStream();
        PlanJson.Write(buffer, plan, inputs.Links);
        output.WriteLine(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
    }

    /// <summary>The file, with what the flags say in its place.</summary>
    private static PlanDescription Describe(ParseResult result)
    {
        var file = result.GetValue(File);
        var plan = file is null
            ? new PlanDescription()
            : PlanDescription.Parse(System.IO.File.ReadAllText(file.FullName));
        if (result.GetValue(Model) is { } model)
        {
            plan = plan with
            {
                Model = model.EndsWith(".json", StringComparison.Ordinal)
                    ? new PlanModel { Config = model }
                    : new PlanModel { Preset = model },
            };
        }

        if (result.GetValue(Instances) is { } instances)
        {
            var leaving = (result.GetValue(Leave) ?? []).ToHashSet(StringComparer.Ordinal);
            plan = plan with { Instances = ParseInstances(instances, leaving, result.GetValue(Grace)) };
        }
        else if (result.GetValue(Leave) is { Length: > 0 })
        {
            throw new PlanningInputException(
                "--leave", "given without --instances", "leavesInSeconds in the file instead");
        }

        plan = plan with
        {
            Load = plan.Load with
            {
                RequestsPerSecond = result.GetValue(Rate) ?? plan.Load.RequestsPerSecond,
                PromptTokens = result.GetValue(Prompt) ?? plan.Load.PromptTokens,
                OutputTokens = result.GetValue(Output) ?? plan.Load.OutputTokens,
            },
            Objective = result.GetValue(Objective) ?? plan.Objective,
            Batching = result.GetValue(Batching) ?? plan.Batching,
            SloSeconds = result.GetValue(SloSeconds) ?? plan.SloSeconds,
        };
        if (result.GetValue(Current) is { } current) plan = plan with { Current = ParseCurrent(current) };
        return result.GetValue(Cached) is { } cached && plan.Current is { } serving
            ? plan with { Current = serving with { CachedTokens = cached } }
            : plan;
    }

    private static List<PlanInstances> ParseInstances(string text, HashSet<string> leaving, double grace)
    {
        var entries = new List<PlanInstances>();
        foreach (var part in text.Split(','))
        {
            var fields = part.Split('x', 3);
            if (fields.Length < 2 || !Int(fields[0], out var count) || !Int(fields[1], out var devices)
                || count is < 1 or > 65_536)
            {
                throw new PlanningInputException(
                    "--instances", part, "COUNTxDEVICES or COUNTxDEVICESxKIND, e.g. 8x4xT4");
            }

            for (var i = 0; i < count; i++)
            {
                var name = FormattableString.Invariant($"node{entries.Count}");
                entries.Add(new PlanInstances
                {
                    Name = name,
                    Devices = devices,
                    Kind = fields.Length > 2 ? fields[2] : "T4",
                    LeavesInSeconds = leaving.Remove(name) ? grace : null,
                });
            }
        }

        return leaving.Count == 0
            ? entries
            : throw new PlanningInputException(
                "--leave", leaving.Order().First(), $"one of node0 to node{entries.Count - 1}");
    }

    private static PlanCurrent ParseCurrent(string text)
    {
        var fields = text.Split(',');
        return fields.Length == 4 && Int(fields[0], out var replicas) && Int(fields[1], out var stages)
            && Int(fields[2], out var ranks) && Int(fields[3], out var batch)
                ? new PlanCurrent { Replicas = replicas, Stages = stages, Ranks = ranks, BatchSize = batch }
                : throw new PlanningInputException("--current", text, "D,P,M,B, e.g. 2,2,8,4");
    }

    private static bool Int(string text, out int value) =>
        int.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out value);
}
