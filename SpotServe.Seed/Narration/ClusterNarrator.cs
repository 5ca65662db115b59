using System.Globalization;
using SpotServe.Actors.Cluster;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Seed.Narration;

/// <summary>
/// Tells a person on the terminal what the cluster does: nodes joining, the layout chosen, weights loading, serving.
/// One line for each thing that changes; calls come from one thread at a time.
/// </summary>
public sealed class ClusterNarrator(TextWriter output)
{
    private readonly HashSet<string> _nodes = [];
    private string? _said;
    private long _epochShown;
    private long _epochTold;
    private int _quarterShown;

    public void OnView(PlannerView view)
    {
        TellNodes(view);
        TellStory(view);
        if (view.Layout is not null && view.Epoch.Value > _epochShown) TellLayout(view);
        switch (view.Phase)
        {
            case PlannerPhase.Gathering:
                Say($"  {view.StatusLine}");
                break;
            case PlannerPhase.PreCopying:
                TellLoading(view);
                break;
            case PlannerPhase.CannotServe:
                break;   // the command's own last line says why
            default:
                Say($"  {view.StatusLine}");
                break;
        }
    }

    /// <summary>What the journal's state means for those who use the cluster. From any thread.</summary>
    public void OnJournal(string line) => output.WriteLine($"  {line}");

    private void TellNodes(PlannerView view)
    {
        foreach (var node in view.Nodes.Where(node => _nodes.Add(node.Node)))
        {
            output.WriteLine($"  node {node.Node} joined: {string.Join(", ", node.Devices.Select(Describe))}");
        }

        foreach (var gone in _nodes.Except(view.Nodes.Select(node => node.Node)).ToArray())
        {
            _nodes.Remove(gone);
            output.WriteLine($"  node {gone} is gone");
        }
    }

    private void TellLayout(PlannerView view)
    {
        _epochShown = view.Epoch.Value;
        _quarterShown = 0;
        var layout = view.Layout!;
        output.WriteLine(
            $"  epoch {view.Epoch.Value}: layout (D,P,M) = {layout.Degrees}: {layout.Degrees.Replicas} replica(s) of " +
            $"{layout.Degrees.Stages} pipeline stage(s) x {layout.Degrees.Ranks} tensor rank(s)");
        foreach (var position in layout.Positions)
        {
            output.WriteLine($"    {position} layers {layout.LayersOf(position)} on {layout.DeviceAt(position)}");
        }
    }

    /// <summary>What came of the latest change, once all is known of it. The first layout has no story.</summary>
    private void TellStory(PlannerView view)
    {
        if (view.Latest is not { From: not null } latest || latest.Epoch.Value <= _epochTold) return;
        _epochTold = latest.Epoch.Value;
        output.WriteLine($"  {latest.Story()}");
    }

    private void TellLoading(PlannerView view)
    {
        var total = view.Loading.Sum(device => device.TotalBytes);
        var loaded = view.Loading.Sum(device => device.LoadedBytes);
        var quarter = total == 0 ? 0 : (int)(4 * loaded / total);
        if (quarter <= _quarterShown) return;
        _quarterShown = quarter;
        Say(string.Create(
            CultureInfo.InvariantCulture, $"  weights loading: {loaded / 1e6:N1} of {total / 1e6:N1} MB"));
    }

    private void Say(string line)
    {
        if (line == _said) return;
        _said = line;
        output.WriteLine(line);
    }

    private static string Describe(DeviceInfo device) => string.Create(
        CultureInfo.InvariantCulture, $"{device.Description}, {device.MemoryBytes / 1e9:0.#} GB usable");
}
