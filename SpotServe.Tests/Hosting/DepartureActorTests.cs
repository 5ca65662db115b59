using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Hosting;
using Xunit;

namespace SpotServe.Tests.Hosting;

/// <summary>Whoever gives notice, the node hears of it on one way.</summary>
public sealed class DepartureActorTests : PatientTestKit
{
    private readonly ManualClock _clock = new();

    [Fact]
    public void Sooner_deadlines_reach_the_node_whoever_tells_them_later_ones_do_not_and_it_leaves_once()
    {
        var (departure, node, left) = (new NodeDeparture(_clock), CreateTestProbe(), CreateTestProbe());
        Action leave = () => left.Ref.Tell("leaves", ActorRefs.NoSender);
        var actor = Sys.ActorOf(Props.Create(() => new DepartureActor(departure, node, leave)));
        actor.Tell(Notice(30, "aws"));
        Assert.Equal("aws", Heard().Source);   // it listens by now

        foreach (var (seconds, source) in new[] { (12, "signal"), (20, "admin"), (12, "file"), (5, "azure") })
            Sys.EventStream.Publish(Notice(seconds, source));

        Assert.Equal("signal", Heard().Source);
        Assert.Equal("azure", Heard().Source);
        Assert.Equal(Notice(5, "azure"), departure.Notice);
        Assert.Equal("leaves", left.ExpectMsg<string>(cancellationToken: TestContext.Current.CancellationToken));
        Assert.False(left.HasMessages);
        Assert.False(node.HasMessages);

        PreemptionNotice Heard() =>
            node.ExpectMsg<PreemptionNotice>(cancellationToken: TestContext.Current.CancellationToken);
    }

    private PreemptionNotice Notice(int seconds, string source) =>
        new(_clock.GetUtcNow().AddSeconds(seconds), source);
}
