using System.Globalization;

namespace SpotServe.Tests.Chaos.Network;

/// <summary>A host of a <see cref="NetworkLab"/>: a network namespace with one address.</summary>
internal sealed record NetworkHost(string Name, string Space, string Address)
{
    /// <summary>Its port on the router.</summary>
    public string Port => Name;
}

/// <summary>
/// Several hosts with addresses of their own on this machine. Each is a network namespace with a cable to a router,
/// another namespace, whose routing rules make partitions: a packet that may not pass vanishes, as on a broken network.
/// The tests' own namespace has a cable, too, and no partition concerns it. Disposal removes all of it, with every
/// process inside; what a crashed run left behind is removed by the next one.
/// </summary>
internal sealed class NetworkLab : IDisposable
{
    /// <summary>All namespaces of tests begin so; the process id of the run follows.</summary>
    public const string Prefix = "spotserve-test-";

    private const int SubnetsMax = 256;

    /// <summary>A port's queue holds what goes out in this time, as a switch's would.</summary>
    private const string QueueTime = "50ms";

    private static int _labs;

    private readonly string _router;
    private readonly List<NetworkHost> _hosts = [];
    private readonly HashSet<(NetworkHost From, NetworkHost To)> _cut = [];
    private readonly int _subnet;

    /// <exception cref="InvalidOperationException">A command failed; nothing is left behind.</exception>
    public NetworkLab(int hosts)
    {
        RemoveLeftovers();
        var name = $"{Prefix}{Environment.ProcessId}-{Interlocked.Increment(ref _labs)}";
        _router = $"{name}-router";
        try
        {
            IpTool.Run("ip", $"netns add {_router}");
            IpTool.Shell(_router, "echo 1 > /proc/sys/net/ipv4/ip_forward");
            IpTool.Run("ip", $"-n {_router} link set lo up");
            _subnet = ConnectTests();
            for (var i = 0; i < hosts; i++) AddHost(name, i);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public IReadOnlyList<NetworkHost> Hosts => _hosts;

    /// <summary>From now on no packet passes between a host of one group and one of the other.</summary>
    public void Partition(IEnumerable<NetworkHost> group, IEnumerable<NetworkHost> other)
    {
        var others = other.ToList();
        foreach (var pair in group.SelectMany(one => others.SelectMany(two => Both(one, two)))) Cut(pair.From, pair.To);
    }

    /// <summary>Cuts these hosts off from all others.</summary>
    public void Isolate(params NetworkHost[] group) => Partition(group, _hosts.Except(group));

    /// <summary>Ends all partitions.</summary>
    public void Heal()
    {
        foreach (var (from, to) in _cut) IpTool.Run("ip", $"-n {_router} rule del {Rule(from, to)}");
        _cut.Clear();
    }

    /// <summary>Lets a host send and receive no more than this; again with another rate changes it.</summary>
    public void LimitBandwidth(NetworkHost host, double bitsPerSecond)
    {
        var rate = bitsPerSecond.ToString("0", CultureInfo.InvariantCulture);
        // What may go out at once; a timer tick's worth on fast links, some packets on slow ones.
        var burst = Math.Max(bitsPerSecond / 8 / 250, 16_000).ToString("0", CultureInfo.InvariantCulture);
        var shape = $"root tbf rate {rate} burst {burst} latency {QueueTime}";
        IpTool.Run("ip", $"netns exec {host.Space} tc qdisc replace dev eth0 {shape}");
        IpTool.Run("ip", $"netns exec {_router} tc qdisc replace dev {host.Port} {shape}");
    }

    /// <summary>Ends the limit of a host.</summary>
    public void Unlimit(NetworkHost host)
    {
        IpTool.Run("ip", $"netns exec {host.Space} tc qdisc del dev eth0 root");
        IpTool.Run("ip", $"netns exec {_router} tc qdisc del dev {host.Port} root");
    }

    /// <summary>Bytes that a host has sent since it is there.</summary>
    public long SentBy(NetworkHost host) => long.Parse(
        IpTool.Run("ip", $"netns exec {_router} cat /sys/class/net/{host.Port}/statistics/rx_bytes"),
        CultureInfo.InvariantCulture);

    public void Dispose()
    {
        foreach (var host in _hosts) Remove(host.Space);
        Remove(_router);   // takes the cables with it
    }

    private static void RemoveLeftovers()
    {
        foreach (var line in IpTool.Run("ip", "netns list").Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var space = line.Split(' ')[0];
            if (!space.StartsWith(Prefix, StringComparison.Ordinal)) continue;
            var run = space[Prefix.Length..].Split('-')[0];
            if (!Directory.Exists($"/proc/{run}")) Remove(space);
        }
    }

    private static void Remove(string space)
    {
        foreach (var process in IpTool.Processes(space)) IpTool.Try("kill", $"-KILL {process}");   // or it just ended
        IpTool.Try("ip", $"netns del {space}");   // it may never have been made
    }

    /// <summary>Claims a subnet of the addresses for benchmarks, which no machine has: whoever makes the interface of
    /// that name first has it.</summary>
    private int ConnectTests()
    {
        for (var subnet = 0; subnet < SubnetsMax; subnet++)
        {
            var cable = $"ss-tests-{subnet}";
            if (IpTool.Try("ip", $"link add {cable} type veth peer name tests netns {_router}").Code != 0) continue;
            IpTool.Run("ip", $"-n {_router} addr add 198.18.{subnet}.253/30 dev tests");
            IpTool.Run("ip", $"-n {_router} link set tests up");
            IpTool.Run("ip", $"addr add 198.18.{subnet}.254/30 dev {cable}");
            IpTool.Run("ip", $"link set {cable} up");
            IpTool.Run("ip", $"route add 198.18.{subnet}.0/24 via 198.18.{subnet}.253");
            return subnet;
        }

        throw new InvalidOperationException($"All {SubnetsMax} subnets of tests are taken, or no cable can be made.");
    }

    private void AddHost(string lab, int index)
    {
        var host = new NetworkHost($"h{index}", $"{lab}-h{index}", $"198.18.{_subnet}.{(4 * index) + 2}");
        var gateway = $"198.18.{_subnet}.{(4 * index) + 1}";
        IpTool.Run("ip", $"netns add {host.Space}");
        _hosts.Add(host);
        IpTool.Run("ip", $"link add eth0 netns {host.Space} type veth peer name {host.Port} netns {_router}");
        IpTool.Run("ip", $"-n {_router} addr add {gateway}/30 dev {host.Port}");
        IpTool.Run("ip", $"-n {_router} link set {host.Port} up");
        IpTool.Run("ip", $"-n {host.Space} link set lo up");
        IpTool.Run("ip", $"-n {host.Space} addr add {host.Address}/30 dev eth0");
        IpTool.Run("ip", $"-n {host.Space} link set eth0 up");
        IpTool.Run("ip", $"-n {host.Space} route add default via {gateway}");
    }

    private void Cut(NetworkHost from, NetworkHost to)
    {
        if (_cut.Add((from, to))) IpTool.Run("ip", $"-n {_router} rule add {Rule(from, to)}");
    }

    private static string Rule(NetworkHost from, NetworkHost to) =>
        $"priority 100 from {from.Address} to {to.Address} blackhole";

    private static IEnumerable<(NetworkHost From, NetworkHost To)> Both(NetworkHost one, NetworkHost two) =>
        [(one, two), (two, one)];
}
