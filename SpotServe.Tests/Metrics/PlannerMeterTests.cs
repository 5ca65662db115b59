using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using Xunit;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Tests.Metrics;

/// <summary>What a planner goes through, and what is counted of it.</summary>
public sealed class PlannerMeterTests : IDisposable
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly LayoutDegrees Degrees = new(1, 2, 1, 8);

    private readonly MeterListener _listener = new();
    private readonly List<(string Name, double Value, string Tags)> _measured = [];
    private readonly Thread _thread = Thread.CurrentThread;
    private readonly PlannerMeter _meter = new();
    private PlannerState _state = new()
    {
        Journal = JournalState.Empty,
        Phase = new Gathering(Start),
        StatusLine = "",
    };

    public PlannerMeterTests()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == "SpotServe.Planner") listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Note(instrument, value, tags));
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Note(instrument, value, tags));
        _listener.Start();
        Go(_state);
    }

    public void Dispose()
    {
        _meter.Dispose();
        _listener.Dispose();
    }

    [Fact]
    public void Node_that_goes_without_notice_is_a_loss_and_one_that_was_told_is_not()
    {
        Go(With("a", "b", "c"));
        var leaving = _state.Leaving.SetItem("b", new Departure(Start, IsTold: true));
        Go(_state with { Leaving = leaving });
        Go(With("a", "c") with { Leaving = _state.Leaving.Remove("b") });
        Go(With("a"));

        Assert.Equal(1, Sum("spotserve.notices_total"));
        Assert.Equal(1, Sum("spotserve.losses_total"));
    }

    [Theory]
    [InlineData("join")]
    [InlineData("notice")]
    [InlineData("loss")]
    [InlineData("wish")]
    [InlineData("other")]
    public void Reconfiguration_is_counted_by_what_happened_before_it_was_decided(string cause)
    {
        Go(With("a", "b"));
        Decide(1);
        Go(cause switch
        {
            "join" => With("a", "b", "c"),
            "notice" => _state with { Leaving = _state.Leaving.SetItem("b", new Departure(Start, IsTold: true)) },
            "loss" => With("a"),
            "wish" => _state with { Wanted = Degrees },
            _ => _state,
        });
        Decide(2);
        _measured.Clear();

        _meter.OnWritten(new ReconfigurationEnded(Record(2)));

        Assert.Equal(
            $"cause={cause},outcome=serving",
            Assert.Single(_measured, one => one.Name == "spotserve.reconfigurations_total").Tags);
        Assert.Equal([0.25], Values("spotserve.pause_seconds"));
        Assert.Equal([2], Values("spotserve.reconfiguration_phase_seconds"));
        Assert.Equal(10 + 20 + 30 + 40, Sum("spotserve.reconfiguration_bytes_total"));
        Assert.Equal(3 + 1, Sum("spotserve.sequences_total"));
    }

    private void Decide(long epoch) => _meter.OnWritten(new LayoutDecided(
        new Epoch(epoch), Start, "", new Layout(Degrees, Layout.EvenStages(2, 1, 2), [new("a", 0), new("b", 0)])));

    private static ReconfigurationRecord Record(long epoch) => new(
        new Epoch(epoch), "", Start, Degrees, Degrees,
        [new ReconfigurationPhase("PreCopying", TimeSpan.Zero, TimeSpan.FromSeconds(2))],
        new WeightSources(10, 20, 30), 40, TimeSpan.FromSeconds(0.25), 3, 5, ReconfigurationRecord.Served)
    {
        NotHandedOver = 1,
    };

    private PlannerState With(params string[] nodes) => _state with
    {
        Nodes = nodes.ToImmutableSortedDictionary(
            name => name,
            name => new KnownNode(
                new NodeInfo(name, "", [new DeviceInfo(0, "", 1)]), TestModels.Small, new NoAddress(), Start),
            StringComparer.Ordinal),
    };

    private void Go(PlannerState next)
    {
        _meter.OnStep(_state, next);
        _state = next;
    }

    private void Note(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        // Other tests run planners in other threads.
        if (Thread.CurrentThread != _thread) return;
        _measured.Add((
            instrument.Name, value, string.Join(',', tags.ToArray().Select(tag => $"{tag.Key}={tag.Value}"))));
    }

    private double Sum(string name) => Values(name).Sum();

    private IEnumerable<double> Values(string name) =>
        _measured.Where(one => one.Name == name).Select(one => one.Value);

    private sealed record NoAddress : IAddress;
}
