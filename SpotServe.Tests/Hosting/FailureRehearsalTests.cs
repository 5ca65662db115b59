using Akka.Event;
using SpotServe.Actors.Hosting;
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
}
