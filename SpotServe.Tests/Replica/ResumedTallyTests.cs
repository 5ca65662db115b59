using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Actors.Replica.ReplicaControlProtocol;

namespace SpotServe.Tests.Replica;

/// <summary>Requests that come to a replica after they had lost another one.</summary>
public sealed class ResumedTallyTests
{
    private readonly ResumedTally _tally = new();

    [Fact]
    public void Tokens_count_once_the_request_has_drawn_its_next_one()
    {
        _tally.OnTaken(Submit("a", lostIn: 3, prompt: 10, committed: 5));

        Assert.Equal([new ResumedRequests(new Epoch(3), 0, 0, 1)], _tally.Report());
        Assert.False(_tally.HasNews);
        _tally.OnToken(new RequestId("a"));
        _tally.OnToken(new RequestId("a"));
        Assert.True(_tally.HasNews);
        Assert.Equal([new ResumedRequests(new Epoch(3), 1, 15, 0)], _tally.Report());
    }

    [Fact]
    public void New_request_is_none_that_goes_on()
    {
        _tally.OnTaken(Submit("a", lostIn: null, prompt: 10, committed: 0));
        _tally.OnToken(new RequestId("a"));

        Assert.Empty(_tally.Report());
    }

    [Fact]
    public void Request_without_tokens_goes_on_and_had_none_to_compute_again()
    {
        _tally.OnTaken(Submit("a", lostIn: 3, prompt: 10, committed: 0));
        _tally.OnToken(new RequestId("a"));

        Assert.Equal([new ResumedRequests(new Epoch(3), 1, 0, 0)], _tally.Report());
    }

    [Fact]
    public void Request_that_ends_before_its_next_token_is_not_waited_for()
    {
        _tally.OnTaken(Submit("a", lostIn: 3, prompt: 10, committed: 5));

        _tally.OnGone(new RequestId("a"));

        Assert.Empty(_tally.Report());
    }

    [Fact]
    public void Only_the_latest_epochs_are_reported()
    {
        for (var epoch = 1; epoch <= 9; epoch++)
        {
            _tally.OnTaken(Submit($"{epoch}", epoch, prompt: 1, committed: 1));
            _tally.OnToken(new RequestId($"{epoch}"));
        }

        Assert.Equal([6, 7, 8, 9], _tally.Report().Select(entry => entry.LostIn.Value));
    }

    private static ReplicaProtocol.Submit Submit(string id, long? lostIn, int prompt, int committed) => new(
        new Epoch(10),
        new GenerationRequest(
            new RequestId(id),
            new GenerationSpec([.. new int[prompt]], new GenerationParameters(64, SamplingParameters.Greedy, [])),
            [.. new int[committed]]))
    {
        LostIn = lostIn is { } epoch ? new Epoch(epoch) : null,
    };
}
