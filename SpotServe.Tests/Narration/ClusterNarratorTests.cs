using SpotServe.Actors.Cluster;
using SpotServe.Seed.Narration;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Narration;

/// <summary>What a person reads on the terminal of a change of layout.</summary>
public sealed class ClusterNarratorTests
{
    private static readonly LayoutDegrees Four = new(1, 4, 1, 8);
    private static readonly LayoutDegrees Three = new(1, 3, 1, 8);

    private readonly StringWriter _output = new();

    [Fact]
    public void Story_of_a_kill_is_told_once_when_all_is_known_of_it()
    {
        var narrator = new ClusterNarrator(_output);
        var record = Record("node b:1#1 was killed: it closed its connections", Four) with
        {
            Resumed = new Resumption(4, 812, TimeSpan.FromSeconds(0.6)),
        };

        foreach (var latest in new[] { null, record, record }) narrator.OnView(View(latest));

        Assert.Equal(
            [
                "  serving",
                "  node b:1#1 was killed: it closed its connections; 4 requests went on after 0.6 s; " +
                "812 tokens were computed again",
            ],
            Lines());
    }

    [Fact]
    public void Story_of_a_notice_says_what_went_over_and_how_long_it_paused()
    {
        var narrator = new ClusterNarrator(_output);

        narrator.OnView(View(Record("node b:1#1 leaves in 30 s, as an operator asked", Four) with
        {
            Sequences = 1,
            Pause = TimeSpan.FromSeconds(0.074),
        }));

        Assert.Contains(
            "  node b:1#1 leaves in 30 s, as an operator asked; 1 request went over and paused for 0.07 s", Lines());
    }

    [Fact]
    public void First_layout_has_no_story()
    {
        var narrator = new ClusterNarrator(_output);

        narrator.OnView(View(Record("the first nodes are there", from: null)));

        Assert.Equal(["  serving"], Lines());
    }

    private static ReconfigurationRecord Record(string cause, LayoutDegrees? from) => new(
        new Epoch(2), cause, DateTimeOffset.UnixEpoch, from, Three, [], default, 0, null, 0, 0,
        ReconfigurationRecord.Served);

    private static PlannerView View(ReconfigurationRecord? latest) => new(
        new Epoch(2), PlannerPhase.Serving, "serving", null, null, new Epoch(2), [], [], [])
    {
        Latest = latest,
    };

    private string[] Lines() =>
        _output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
