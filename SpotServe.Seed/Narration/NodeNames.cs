using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using SpotServe.Actors.Cluster;
using SpotServe.Seed.Fleet;

namespace SpotServe.Seed.Narration;

/// <summary>
/// Short names of nodes for people: "node 2" for what the cluster knows as "127.0.0.1:5103#1f2e". A process of this
/// machine's fleet has its number there, so that its log is found; others are numbered as they come. Thread-safe.
/// </summary>
internal sealed partial class NodeNames
{
    /// <summary>More nodes than a cluster has at one time; beyond it the oldest names are forgotten.</summary>
    private const int NamesMax = 4096;

    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<int, int> _processes = new();
    private readonly Dictionary<string, int> _numbers = [];
    private readonly Queue<string> _order = new();
    private readonly Dictionary<string, int> _machines = [];
    private readonly Queue<string> _machineOrder = new();
    private int _next;

    /// <summary>From now on the process is known by its number in the local fleet.</summary>
    public void Learn(LocalNode node) => _processes[node.ProcessId] = node.Index;

    /// <summary>"node 2".</summary>
    public string Of(NodeInfo node) => $"node {NumberOf(node)}";

    /// <summary>Name of a node that was seen before; else what the cluster calls it.</summary>
    public string Of(string node)
    {
        lock (_lock) return _numbers.TryGetValue(node, out var number) ? $"node {number}" : node;
    }

    /// <summary>"node 2" for the machine that it runs or ran on; null when no node has said so.</summary>
    public string? OfMachine(string machine)
    {
        lock (_lock) return _machines.TryGetValue(machine, out var number) ? $"node {number}" : null;
    }

    /// <summary>A text of the fleet manager's with the machines whose nodes were seen by those nodes' names.</summary>
    public string MachinesInWords(string text) => Machine().Replace(
        text, match => OfMachine(match.Groups["id"].Value) ?? match.Value);

    /// <summary>A text of the planner's with the nodes in it by their short names.</summary>
    public string InWords(string text) => Id().Replace(
        text, match => Of(match.Groups["id"].Value) is var name && name == match.Groups["id"].Value
            ? match.Value
            : name);

    public int NumberOf(NodeInfo node)
    {
        lock (_lock)
        {
            if (_numbers.TryGetValue(node.Node, out var known)) return known;
            var number = node.ProcessId is { } process && _processes.TryGetValue(process, out var local)
                ? local
                : Math.Max(_next, _processes.IsEmpty ? 0 : _processes.Values.Max() + 1);
            _next = Math.Max(_next, number + 1);
            if (_order.Count == NamesMax) _numbers.Remove(_order.Dequeue());
            _numbers.Add(node.Node, number);
            _order.Enqueue(node.Node);
            LearnMachine(node.Machine.InstanceId, number);
            return number;
        }
    }

    private void LearnMachine(string machine, int number)
    {
        if (machine.Length == 0) return;
        if (_machines.TryAdd(machine, number))
        {
            if (_machineOrder.Count == NamesMax) _machines.Remove(_machineOrder.Dequeue());
            _machineOrder.Enqueue(machine);
        }
        else
        {
            // Its node came back under another number.
            _machines[machine] = number;
        }
    }

    [GeneratedRegex(@"(?:\bmachine )?(?<id>[A-Za-z0-9][A-Za-z0-9_.-]*)")]
    private static partial Regex Machine();

    [GeneratedRegex(@"(?:\bnode )?(?<id>[A-Za-z0-9_.:\[\]-]+:\d{1,5}#[0-9a-f]{1,8})")]
    private static partial Regex Id();
}
