using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.Hosting;

public sealed class FailureRehearsalTests : PatientTestKit
{
    [Fact]
    public void An_actor_fails_once_with_its_stack_written_out_and_nobody_reads_of_it_in_the_log()
    {
        Sys.EventStream.Subscribe(TestActor, typeof(Error));
        var written = new List<string>();

        var rehearsal = Sys.ActorOf(FailureRehearsal.Props(TimeSpan.Zero, text =>
        {
            lock (written) written.Add(text);
        }));
        Watch(rehearsal);

        ExpectTerminated(rehearsal, cancellationToken: TestContext.Current.CancellationToken);
        lock (written) Assert.Contains("LoseLinkAsync", Assert.Single(written), StringComparison.Ordinal);
    }

    /// <summary>Each is a record of a protocol, and nothing in it is left out whose type has code of its own.</summary>
    [Fact]
    public void Messages_that_are_rehearsed_are_those_that_travel_when_a_machine_goes()
    {
        var system = (ExtendedActorSystem)Sys;
        var serializer = new HyperionMessageSerializer(system);

        Assert.All(MessageRehearsal.Messages, message =>
        {
            Assert.Equal(message, serializer.FromBinary(serializer.ToBinary(message), message.GetType()));
            Assert.All(message.GetType().GetProperties(), part => Assert.NotNull(part.GetValue(message)));
        });
        Assert.Contains(MessageRehearsal.Messages, message => message is ClusterProtocol.NodeNotice);
    }
}
