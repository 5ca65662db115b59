using System.CommandLine;
using SpotServe.Actors.Hosting;
using SpotServe.Seed.Bench;
using SpotServe.Seed.Hosting;

namespace SpotServe.Seed.Commands;

/// <summary>`bench`: measurements of whole clusters on this machine.</summary>
internal static class BenchCommand
{
    private const string BundledName = "bundled";
    private const string SmallName = "160m";

    private static readonly Option<bool> Regret = new("--regret")
    {
        Description = "Serve with every layout, measure each, and compare with what the planner would choose.",
    };

    private static readonly Option<string[]> Models = new("--model")
    {
        Description = $"{BundledName}, {SmallName} (made weights) or a model folder; several may be given.",
        HelpName = "MODEL",
        DefaultValueFactory = _ => [BundledName, SmallName],
    };

    private static readonly Option<int> Nodes = new("--nodes")
    {
        Description = "Node processes, 1 to 16.",
        DefaultValueFactory = _ => 4,
    };

    private static readonly Option<int> Seconds = new("--seconds")
    {
        Description = "For all of it, 30 to 36000: each load is watched for as long as that allows.",
        DefaultValueFactory = _ => 480,
    };

    private static readonly Option<string?> Out = new("--out")
    {
        Description = "File that the tables are written to as well.",
        HelpName = "FILE",
    };

    public static Command Create()
    {
        var command = new Command("bench", "Measurements of clusters on this machine.")
        {
            Regret, Models, Nodes, Seconds, Out,
        };
        command.SetAction((parsed, cancel) => RootCommands.Serving(() => RunAsync(parsed, cancel), cancel));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancel)
    {
        if (!parsed.GetValue(Regret)) throw new UsageException("bench measures nothing by itself; give --regret.");
        var (nodes, seconds) = (parsed.GetValue(Nodes), parsed.GetValue(Seconds));
        SeedFlags.RequireRange("--nodes", nodes, 1, 16);
        SeedFlags.RequireRange("--seconds", seconds, 30, 36_000);
        var (output, log) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var work = Directory.CreateTempSubdirectory("spotserve-regret-").FullName;
        try
        {
            var subjects = (parsed.GetValue(Models) ?? []).Select(model => Subject(model, work)).ToArray();
            var run = new RegretRun(nodes, log.WriteLine);
            foreach (var subject in subjects)
            {
                var time = TimeSpan.FromSeconds(seconds / (double)subjects.Length);
                var text = (await run.RunAsync(subject, time, work, cancel)).Text();
                await output.WriteLineAsync(text);
                if (parsed.GetValue(Out) is { } file) await File.AppendAllTextAsync(file, text + "\n", cancel);
            }

            return 0;
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    private static RegretSubject Subject(string model, string work)
    {
        switch (model)
        {
            case BundledName:
                return new RegretSubject(BundledName, SeedFlags.BundledModel(), new RequestSizes(64, 64, BatchMax: 16));
            case SmallName:
                var folder = Path.Combine(work, "made-160m");
                MadeModel.WriteSmall(folder);
                return new RegretSubject(SmallName, folder, new RequestSizes(32, 16, BatchMax: 8));
            default:
                return new RegretSubject(
                    ServedModel.Open(model).Name, Path.GetFullPath(model), new RequestSizes(32, 32, BatchMax: 8));
        }
    }
}
