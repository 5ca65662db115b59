using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using SpotServe.Seed.Dashboard.Components;
using SpotServe.Seed.Dashboard.Live;

namespace SpotServe.Seed.Narration;

/// <summary>
/// Tells a person on the terminal what happens to the cluster, in a person's words: which node came, has notice, or was
/// lost, and what that cost. <see cref="ClusterNarrator"/> has the details. Called by one thread at a time.
/// </summary>
internal sealed class StoryNarrator(NodeNames names, TextWriter output)
{
    /// <summary>Requests that lost their replica go on one after the other: their number is told once it has stayed the
    /// same for so long.</summary>
    private static readonly TimeSpan ResumedSettle = TimeSpan.FromSeconds(2);

    private readonly Dictionary<string, NodeState> _told = [];
    private readonly Dictionary<long, (Resumption Seen, DateTimeOffset Since)> _resuming = [];
    private long _resumedTold;
    private long _epoch;
    private string? _waiting;

    /// <summary>What the journal's state means for those who use the cluster. From any thread.</summary>
    public void OnJournal(string line) => output.WriteLine($"  {line}");

    /// <summary>Tells what is new since the last time.</summary>
    public void Tell(ClusterSnapshot now)
    {
        foreach (var node in now.Nodes) TellNode(node, now);
        foreach (var old in _told.Keys.Except(now.Nodes.Select(node => node.Id)).ToArray()) _told.Remove(old);
        foreach (var change in now.Timeline.Reverse().Where(IsNews)) TellChange(change);
        foreach (var change in now.Timeline.Reverse()) TellResumed(change, now.At);
        if (now.Phase == PlannerPhase.Gathering && now.StatusLine != _waiting)
            output.WriteLine($"  {names.InWords(_waiting = now.StatusLine)}");
    }

    private bool IsNews(ReconfigurationRecord change) =>
        change.Epoch.Value > _epoch && change.Outcome != ReconfigurationRecord.UnderWay;

    private void TellNode(NodeView node, ClusterSnapshot now)
    {
        var isKnown = _told.TryGetValue(node.Id, out var before);
        _told[node.Id] = node.State;
        if (!isKnown && node.State != NodeState.Gone) output.WriteLine($"  {node.Name} joined: {node.Kind}");
        if (before == node.State && isKnown) return;
        switch (node.State)
        {
            case NodeState.Leaving when node.Deadline is { } deadline:
                var seconds = Math.Max(0, Math.Ceiling((deadline - now.At).TotalSeconds));
                output.WriteLine($"  {node.Name} has notice: it leaves in {seconds:0} s; its work moves meanwhile");
                break;
            case NodeState.Gone:
                output.WriteLine(before == NodeState.Leaving
                    ? $"  {node.Name} has left"
                    : $"  {node.Name} is lost without notice; its requests go on elsewhere");
                break;
        }
    }

    private void TellResumed(ReconfigurationRecord change, DateTimeOffset now)
    {
        var epoch = change.Epoch.Value;
        if (epoch <= _resumedTold || epoch > _epoch || change.Resumed is not { Requests: > 0 } resumed) return;
        if (!_resuming.TryGetValue(epoch, out var known) || known.Seen != resumed)
            _resuming[epoch] = known = (resumed, now);
        if (now - known.Since < ResumedSettle) return;
        _resumedTold = epoch;
        foreach (var old in _resuming.Keys.Where(old => old <= epoch).ToArray()) _resuming.Remove(old);
        var after = resumed.After is { } time ? $" after {Texts.Seconds(time)}" : "";
        output.WriteLine(
            $"  {resumed.Requests:N0} request{(resumed.Requests == 1 ? "" : "s")} of what was lost went on{after}; no "
            + $"token was lost, {resumed.Tokens:N0} {(resumed.Tokens == 1 ? "was" : "were")} computed again");
    }

    private void TellChange(ReconfigurationRecord change)
    {
        _epoch = change.Epoch.Value;
        var degrees = $"layout {Texts.Degrees(change.To)}";
        if (change.Outcome != ReconfigurationRecord.Served)
        {
            output.WriteLine($"  {degrees} was given up: {names.InWords(change.Outcome)}");
            return;
        }

        var paused = change.Pause is { } pause
            ? $"; requests went on after {Texts.Seconds(pause)}, no token was lost"
            : "";
        output.WriteLine(
            $"  now {degrees} serves ({Texts.Described(Texts.Degrees(change.To))}): {names.InWords(change.Cause)}"
            + $"{paused}; {Sizes.Text(change.Weights.Peers + change.Weights.Folder)} of weights and "
            + $"{Sizes.Text(change.PageBytes)} of KV pages moved");
        _waiting = null;
    }
}
