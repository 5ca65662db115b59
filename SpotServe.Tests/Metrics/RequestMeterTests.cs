using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using SpotServe.Actors.Requests;
using Xunit;
using static SpotServe.Actors.Requests.RequestEvents;

namespace SpotServe.Tests.Metrics;

/// <summary>One request's life, and what is measured of it.</summary>
public sealed class RequestMeterTests : IDisposable
{
    private static readonly RequestId Id = new("cmpl-1");

    private readonly ManualClock _clock = new();
    private readonly MeterListener _listener = new();
    private readonly List<(string Name, double Value)> _measured = [];
    private readonly Thread _thread = Thread.CurrentThread;
    private readonly RequestState _state = new();
    private readonly RequestMeter _meter;

    public RequestMeterTests()
    {
        _meter = new RequestMeter(_clock);
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == "SpotServe.Request") listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<double>((instrument, value, _, _) => Note(instrument, value));
        _listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => Note(instrument, value));
        _listener.Start();
    }

    public void Dispose() => _listener.Dispose();

    [Fact]
    public void First_token_gaps_and_end_are_measured_as_a_reader_sees_them()
    {
        Write(Accepted());
        Pass(0.5);
        Write(new TokensCommitted(Id, 0, [1, 2]));
        Pass(0.3);
        Write(new TokensCommitted(Id, 2, [3, 4, 5]));
        Pass(0.2);
        Write(new RequestFinished(Id, FinishReason.Length, null, _clock.GetUtcNow()));

        Assert.Equal([0.5], Values("vllm.time_to_first_token_seconds"));
        Assert.Equal([0, 0.1, 0.1, 0.1], Values("vllm.inter_token_latency_seconds").Select(gap => Math.Round(gap, 9)));
        Assert.Equal([1], Values("vllm.e2e_request_latency_seconds"));
        Assert.Equal([3], Values("vllm.prompt_tokens_total"));
        Assert.Equal([2, 3], Values("vllm.generation_tokens_total"));
        Assert.Equal([5], Values("vllm.request_generation_tokens"));
        Assert.Equal([1], Values("vllm.request_success_total"));
    }

    [Fact]
    public void Entity_that_reads_the_request_from_the_journal_measures_only_what_it_writes_itself()
    {
        foreach (var before in (IRequestEvent[])[Accepted(), new TokensCommitted(Id, 0, [1, 2])]) _state.Apply(before);
        Pass(7);
        Write(new TokensCommitted(Id, 2, [3]));
        Pass(0.2);
        Write(new TokensCommitted(Id, 3, [4]));

        Assert.Equal([1, 1], Values("vllm.generation_tokens_total"));
        Assert.Empty(Values("vllm.time_to_first_token_seconds"));
        Assert.Equal([0.2], Values("vllm.inter_token_latency_seconds").Select(gap => Math.Round(gap, 9)));
    }

    private RequestAccepted Accepted() => new(
        Id,
        _clock.GetUtcNow(),
        new GenerationSpec([7, 8, 9], new GenerationParameters(5, SamplingParameters.Greedy, [])));

    private void Pass(double seconds) => _clock.Advance(TimeSpan.FromSeconds(seconds));

    private void Write(IRequestEvent happened)
    {
        _state.Apply(happened);
        _meter.OnWritten(happened, _state);
    }

    private void Note(Instrument instrument, double value)
    {
        // Other tests run entities in other threads.
        if (Thread.CurrentThread == _thread) _measured.Add((instrument.Name, value));
    }

    private ImmutableArray<double> Values(string name) =>
        [.. _measured.Where(one => one.Name == name).Select(one => one.Value)];
}
