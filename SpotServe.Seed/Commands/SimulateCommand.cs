using System.CommandLine;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;
using SpotServe.Seed.Commands.Simulating;

namespace SpotServe.Seed.Commands;

/// <summary>`simulate`: what latency and cost a fleet would have had, and the paper's evaluation. Starts
/// nothing.</summary>
public static class SimulateCommand
{
    private const string BuiltIn =
        "Inputs: the built-in set, with the machine counts and arrival rates of the paper. The paper's own traces, "
        + "arrivals and profiles are in github.com/Hsword/SpotServe, branch artifact, folder elastic-switch; give "
        + "their folder with --traces (docs/simulate.md).";

    private static readonly Option<bool> Paper = new("--paper")
    {
        Description = "The paper's evaluation: its policies, models and traces, beside its values",
    };

    private static readonly Option<DirectoryInfo?> Traces = new("--traces")
    {
        Description = "Folder with the paper's files below spotserve/ (docs/simulate.md)",
    };

    private static readonly Option<string[]> Only = new("--only")
    {
        Description = "Of the paper's models these: OPT-6.7B, GPT-20B, LLaMA-30B",
        AllowMultipleArgumentsPerToken = true,
        HelpName = "MODEL",
    };

    private static readonly Option<FileInfo?> Replay = new("--replay")
    {
        Description = "A recording of a live cluster (--record): what it did, beside what is simulated of it",
        HelpName = "RECORDING",
    };

    private static readonly Option<int> Perturbed = new("--perturbed")
    {
        Description = "Runs of the evaluation with small changes, to tell agreement from luck",
    };

    private static readonly Option<int> Seeds = new("--seeds")
    {
        Description = "Runs with Gamma arrivals whose coefficient of variation is 6",
    };

    private static readonly Option<double> EngineRestart = new("--engine-restart")
    {
        Description = "Assumed seconds until a stopped engine serves again",
        DefaultValueFactory = _ => new PaperAssumptions().EngineRestartSeconds,
    };

    private static readonly Option<double> HolderRestart = new("--holder-restart")
    {
        Description = "Assumed seconds until a restarted holder of weights is there again",
        DefaultValueFactory = _ => new PaperAssumptions().HolderRestartSeconds,
    };

    private static readonly Option<double> Storage = new("--storage-gbps")
    {
        Description = "Assumed gigabytes a second at which a machine loads weights from its storage",
        DefaultValueFactory = _ => new PaperAssumptions().StorageBytesPerSecond / 1e9,
    };

    private static readonly Option<DirectoryInfo?> Out = new("--out")
    {
        Description = "Folder for report.md, report.html, report.json, and each figure as SVG and PNG",
    };

    private static readonly Option<bool> Json = new("--json") { Description = "Print JSON" };

    /// <summary>The command, for the root command to take in.</summary>
    public static Command Create()
    {
        var command = new Command("simulate", "Play traces of machines and requests through the planner")
        {
            Paper, Traces, Only, Replay, Perturbed, Seeds, EngineRestart, HolderRestart, Storage, Out, Json,
        };
        foreach (var option in FleetFlags.All) command.Add(option);
        command.SetAction(result => Run(
            result, result.InvocationConfiguration.Output, result.InvocationConfiguration.Error));
        return command;
    }

    private static int Run(ParseResult result, TextWriter output, TextWriter error)
    {
        try
        {
            if (ReportOf(result, error.WriteLine) is not { } report)
            {
                error.WriteLine(
                    "simulate: say what is to be simulated: --paper, --availability FILE... or --replay RECORDING");
                return 1;
            }

            if (result.GetValue(Json)) output.WriteLine(ReportWriter.ToJson(report));
            else ReportWriter.ToConsole(report, output);
            if (result.GetValue(Out) is { } folder) Write(report, folder.FullName);
            return 0;
        }
        catch (Exception refused) when (refused is TraceException or PlanningException or IOException
            or UnauthorizedAccessException)
        {
            error.WriteLine($"simulate: {refused.Message}");
            return 1;
        }
    }

    /// <returns>Null when nothing is asked for.</returns>
    private static Report? ReportOf(ParseResult result, Action<string> progress)
    {
        if (result.GetValue(Paper)) return PaperReportOf(result);
        if (result.GetValue(Replay) is { } recording) return ReplayReport.Make(recording.FullName);
        return result.GetValue(FleetFlags.Availability) is { Length: > 0 } ? FleetReport.Make(result, progress) : null;
    }

    private static Report PaperReportOf(ParseResult result)
    {
        var folder = result.GetValue(Traces);
        var inputs = folder is null ? PaperShapes.Inputs() : PaperFiles.Load(folder.FullName);
        var origin = folder is null ? BuiltIn : "Inputs: the artifact's own traces, arrival files and profiles.";
        var assumed = new PaperAssumptions(
            InRange(result, EngineRestart, 0, 3600), InRange(result, HolderRestart, 0, 3600),
            InRange(result, Storage, 0.001, 10_000) * 1e9);
        return PaperReport.Make(
            Chosen(result, inputs), origin, assumed, (int)InRange(result, Perturbed, 0, 1000),
            (int)InRange(result, Seeds, 0, 1000));
    }

    private static PaperInputs Chosen(ParseResult result, PaperInputs inputs)
    {
        if (result.GetValue(Only) is not { Length: > 0 } names) return inputs;
        var known = inputs.Models.Select(model => model.Name).ToList();
        var unknown = names.FirstOrDefault(name => !known.Contains(name, StringComparer.OrdinalIgnoreCase));
        if (unknown is not null) throw new PlanningInputException(Only.Name, unknown, string.Join(", ", known));
        return inputs with
        {
            Models = [.. inputs.Models.Where(model => names.Contains(model.Name, StringComparer.OrdinalIgnoreCase))],
        };
    }

    private static double InRange<T>(ParseResult result, Option<T> option, double least, double most)
    {
        var value = Convert.ToDouble(result.GetValue(option), System.Globalization.CultureInfo.InvariantCulture);
        return value >= least && value <= most
            ? value
            : throw new PlanningInputException(option.Name, value, FormattableString.Invariant($"{least} to {most}"));
    }

    private static void Write(Report report, string folder)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "report.md"), ReportWriter.ToMarkdown(report, "."));
        File.WriteAllText(Path.Combine(folder, "report.html"), ReportWriter.ToHtml(report));
        File.WriteAllText(Path.Combine(folder, "report.json"), ReportWriter.ToJson(report));
        foreach (var figure in report.Blocks.OfType<ReportBlock.Figure>())
        {
            File.WriteAllText(Path.Combine(folder, figure.Name + ".svg"), FigureDrawing.Svg(figure.Data));
            File.WriteAllBytes(Path.Combine(folder, figure.Name + ".png"), FigureDrawing.Png(figure.Data));
        }
    }
}
