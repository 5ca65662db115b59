using System.CommandLine;

namespace SpotServe.Node.Engine.Bench;

/// <summary>Loading, changes of layout, sums and the host's own work, on the command line.</summary>
internal sealed class OtherFlags
{
    private readonly Option<string?> _load = new("--load")
    {
        Description = "measure loading this model folder onto the device instead",
        HelpName = "DIR",
    };

    private readonly Option<bool> _host = new("--host")
    {
        Description = "measure what the host does for a step of --batch sequences instead, without an engine",
    };

    private readonly Option<bool> _sums = new("--sums")
    {
        Description = "measure sums over the GPUs of --devices instead, beside NCCL's",
    };

    private readonly Option<string?> _change = new("--change-to")
    {
        Description = "measure changes of layout within this machine instead, from --layout to this one and back",
        HelpName = "P,M",
    };

    public void AddTo(Command command)
    {
        command.Options.Add(_change);
        command.Options.Add(_sums);
        command.Options.Add(_load);
        command.Options.Add(_host);
    }

    /// <summary>The figures as text; null when nothing of this was asked for.</summary>
    public async Task<string?> RunAsync(
        ParseResult parsed, EngineFlags engine, Action<string> log, CancellationToken cancel)
    {
        if (parsed.GetValue(_load) is { } folder)
            return await LoadBench.RunAsync(folder, engine.Read(parsed), log, cancel).ConfigureAwait(false);
        if (parsed.GetValue(_change) is { } layout)
        {
            return await ChangeBench.RunAsync(engine.Read(parsed), EngineFlags.ParseLayout(layout), log)
                .ConfigureAwait(false);
        }

        if (parsed.GetValue(_sums)) return SumBench.Run(engine.Read(parsed), log);
        if (!parsed.GetValue(_host)) return null;
        var options = engine.Read(parsed);
        return HostBench.Run(options.Batch, options.Context, options.Shape.Vocabulary);
    }
}
