using System.Threading.Channels;
using Akka.Actor;
using SpotServe.Actors.Gateway;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Gateway;

public sealed class StreamActorTests : PatientTestKit
{
    private static readonly RequestId Id = new("cmpl-1");
    private readonly Channel<TokenBatch> _output = Channel.CreateUnbounded<TokenBatch>();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Reader_whose_entity_ends_subscribes_again_at_once_from_where_it_is()
    {
        var requests = CreateTestProbe();
        var entity = CreateTestProbe();
        var stream = Sys.ActorOf(Props.Create(() => new StreamActor(
            Id, 0, requests, _output.Writer, TimeSpan.FromMinutes(10))));
        requests.ExpectMsg<Subscribe>(cancellationToken: Cancel);
        stream.Tell(new TokensAvailable(Id, 0, [10, 11], null, null), entity);
        // Its entity is watched only once its tokens have come through.
        AwaitCondition(() => _output.Reader.TryPeek(out _), cancellationToken: Cancel);

        Sys.Stop(entity);

        Assert.Equal(2, requests.ExpectMsg<Subscribe>(cancellationToken: Cancel).FromIndex);
    }
}
