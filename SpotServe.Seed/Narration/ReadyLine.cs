using SpotServe.Actors.Cluster;
using SpotServe.Seed.Hosting;

namespace SpotServe.Seed.Narration;

/// <summary>Prints once, when the first layout serves, where to send requests and a line to paste.</summary>
internal sealed class ReadyLine : IDisposable
{
    private readonly SeedHost _seed;
    private readonly TextWriter _output;
    private int _printed;

    public ReadyLine(SeedHost seed, TextWriter output)
    {
        _seed = seed;
        _output = output;
        seed.Board.Changed += OnView;
    }

    /// <summary>Whether anything was ever served.</summary>
    public bool IsPrinted => Volatile.Read(ref _printed) != 0;

    public void Dispose() => _seed.Board.Changed -= OnView;

    private void OnView(ClusterProtocol.PlannerView view)
    {
        if (view.Replicas.IsEmpty || Interlocked.Exchange(ref _printed, 1) != 0) return;
        var address = _seed.HttpAddress.ToString().TrimEnd('/');
        _output.WriteLine($"Ready: {address}");
        _output.WriteLine($"Dashboard: {address}/dashboard");
        _output.WriteLine("Read a story:");
        _output.WriteLine(
            $"  curl -N {address}/v1/completions -H 'Content-Type: application/json' " +
            """-d '{"prompt": "Once upon a time", "max_tokens": 200, "temperature": 0, "stream": true}'""");
        _output.WriteLine("Ctrl-C stops all of it.");
    }
}
