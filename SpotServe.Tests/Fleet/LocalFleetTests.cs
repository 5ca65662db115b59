using System.Diagnostics;
using SpotServe.Seed.Fleet;
using Xunit;

namespace SpotServe.Tests.Fleet;

public sealed class LocalFleetTests
{
    private static readonly TimeSpan LongGrace = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Output_of_both_streams_arrives_line_by_line_with_the_nodes_index()
    {
        await using var probe = new FleetProbe(LongGrace);

        var first = probe.Start("echo one; echo two; printf unfinished");
        await FleetProbe.ExitOf(first);
        var second = probe.Start("echo wrong >&2");
        await FleetProbe.ExitOf(second);

        foreach (var line in (string[])["0: one", "0: two", "0: unfinished", "1: wrong"])
            Assert.Equal(line, await probe.NextLineAsync());
    }

    [Fact]
    public async Task Line_without_an_end_arrives_in_parts_of_bounded_length()
    {
        await using var probe = new FleetProbe(LongGrace, lineCharactersMax: 16);

        var node = probe.Start("printf '%040d\\n' 7; echo next");
        await FleetProbe.ExitOf(node);

        Assert.Equal($"0: {new string('0', 16)}", await probe.NextLineAsync());
        Assert.Equal($"0: {new string('0', 16)}", await probe.NextLineAsync());
        Assert.Equal("0: 00000007", await probe.NextLineAsync());
        Assert.Equal("0: next", await probe.NextLineAsync());
    }

    [Fact]
    public async Task Exit_is_noticed_with_its_code_and_was_not_requested()
    {
        await using var probe = new FleetProbe(LongGrace);

        var exit = await FleetProbe.ExitOf(probe.Start("exit 7"));

        Assert.Equal(7, exit.ExitCode);
        Assert.False(exit.Requested);
        Assert.Equal(0, exit.Index);
    }

    [Fact]
    public async Task Stop_lets_nodes_finish_in_order()
    {
        await using var probe = new FleetProbe(LongGrace);
        var node = probe.Start("echo ready; read -r; echo bye; exit 3");
        Assert.Equal("0: ready", await probe.NextLineAsync());

        await probe.Fleet.StopAsync();

        var exit = await FleetProbe.ExitOf(node);
        Assert.Equal(3, exit.ExitCode);
        Assert.True(exit.Requested);
        Assert.Equal("0: bye", await probe.NextLineAsync());
        Assert.False(Processes.IsRunning(node.ProcessId));
    }

    [Fact]
    public async Task Stop_kills_after_the_grace_time_a_node_that_ignores_it_and_its_children()
    {
        await using var probe = new FleetProbe(TimeSpan.FromMilliseconds(300));
        var node = probe.Start("sleep 300 & echo $!; wait; sleep 300");
        var child = int.Parse((await probe.NextLineAsync())["0: ".Length..], null);
        var clock = Stopwatch.StartNew();

        await probe.Fleet.StopAsync();

        Assert.InRange(clock.Elapsed, TimeSpan.FromSeconds(0.3), Waits.Max);
        Assert.Equal(137, (await FleetProbe.ExitOf(node)).ExitCode);
        Assert.False(Processes.IsRunning(node.ProcessId));
        await Processes.EndAsync(child);
    }

    [Fact]
    public async Task Killed_node_is_gone_at_once_and_another_one_can_be_started()
    {
        await using var probe = new FleetProbe(LongGrace);
        var node = probe.Start("echo ready; exec sleep 300");
        await probe.NextLineAsync();

        node.Kill();

        Assert.Equal(137, (await FleetProbe.ExitOf(node)).ExitCode);
        var next = probe.Start("echo again; exec sleep 300");
        Assert.Equal("1: again", await probe.NextLineAsync());
        Assert.Equal(1, next.Index);
        next.Kill();
    }

    [Fact]
    public async Task Stopping_fleet_starts_no_more_nodes()
    {
        await using var probe = new FleetProbe(LongGrace);

        await probe.Fleet.StopAsync();

        Assert.Throws<InvalidOperationException>(() => probe.Start("true"));
    }

    [Fact]
    public async Task Node_gets_its_share_of_the_cores_and_the_settings_of_a_quick_start()
    {
        await using var probe = new FleetProbe(LongGrace, nodeCount: 64);

        await FleetProbe.ExitOf(
            probe.Start("echo $OMP_NUM_THREADS $SPOTSERVE_THREADS $OMP_WAIT_POLICY $DOTNET_gcServer "
                + "$DOTNET_EnableWriteXorExecute"));

        var share = Math.Max(1, Environment.ProcessorCount / 64);
        Assert.Equal($"0: {share} {share} passive 0 0", await probe.NextLineAsync());
    }

    [Fact]
    public async Task Program_that_does_not_exist_is_a_clear_error()
    {
        await using var fleet = new LocalFleet(
            new LocalFleetOptions { Program = new NodeProgram("/no/such/program", []), NodeCount = 1 },
            (_, _) => { },
            _ => { });

        var error = Assert.Throws<InvalidOperationException>(() => fleet.Start([]));

        Assert.Contains("/no/such/program", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(65)]
    public void Count_of_nodes_is_bounded(int count) => Assert.Throws<ArgumentOutOfRangeException>(
        () => new LocalFleetOptions { Program = new NodeProgram("x", []), NodeCount = count });
}
