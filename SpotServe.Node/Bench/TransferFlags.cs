using System.CommandLine;

namespace SpotServe.Node.Bench;

/// <summary>The flags of `bench --transfer`.</summary>
internal sealed class TransferFlags
{
    private const int BytesPerMegabyte = 1_000_000;

    private Option<bool> Transfer { get; } = new("--transfer")
    {
        Description = "measure a fetch between two processes instead, beside iperf3 where that is installed",
    };

    private Option<bool> Source { get; } = new("--transfer-source") { Hidden = true };

    private Option<int> Megabytes { get; } = new("--megabytes")
    {
        Description = "what --transfer moves a round",
        DefaultValueFactory = _ => 1000,
    };

    private Option<int> ChunkKib { get; } = new("--chunk-kib")
    {
        Description = "chunk of --transfer",
        DefaultValueFactory = _ => new SpotServe.Actors.DataPlane.TransferOptions().ChunkBytes / 1024,
    };

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[Transfer, Source, Megabytes, ChunkKib]) command.Options.Add(option);
    }

    /// <returns>False when another bench was asked for.</returns>
    public async Task<bool> RunIfAskedAsync(ParseResult parsed, int rounds, CancellationToken cancel)
    {
        var bytes = (long)parsed.GetValue(Megabytes) * BytesPerMegabyte;
        var chunkBytes = parsed.GetValue(ChunkKib) * 1024;
        var output = parsed.InvocationConfiguration.Output;
        if (parsed.GetValue(Source))
        {
            await TransferSource.ServeAsync(bytes, TransferBench.Options(chunkBytes), Console.In, output, cancel);
            return true;
        }

        if (!parsed.GetValue(Transfer)) return false;
        await TransferBench.RunAsync(bytes, chunkBytes, rounds, output, cancel);
        return true;
    }
}
