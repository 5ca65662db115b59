using Akka.Persistence;
using Akka.Persistence.Snapshot;
using SpotServe.Actors.Requests;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Requests;

/// <summary>What is asked of the database before a request is taken.</summary>
public sealed class RequestRecoveryTests() : PatientTestKit(Settings)
{
    private const string Settings =
        """
        akka.persistence {
          journal.plugin = "akka.persistence.journal.inmem"
          snapshot-store.plugin = "failing"
        }
        failing {
          class = "SpotServe.Tests.Requests.FailingSnapshots, SpotServe.Tests"
          plugin-dispatcher = "akka.actor.default-dispatcher"
        }
        """;

    [Fact]
    public async Task No_snapshot_is_looked_for()
    {
        var id = new RequestId("cmpl-1");
        var entity = Sys.ActorOf(RequestEntity.Props(id, new RequestOptions(), new ManualClock(), CreateTestProbe()));
        var reader = CreateTestProbe();

        entity.Tell(
            new Accept(id, new GenerationSpec([1, 2], new GenerationParameters(8, SamplingParameters.Greedy, []))),
            reader);

        await reader.ExpectMsgAsync<Accepted>(cancellationToken: TestContext.Current.CancellationToken);
    }
}

/// <summary>A store that nobody may ask.</summary>
internal sealed class FailingSnapshots : SnapshotStore
{
    protected override Task<SelectedSnapshot> LoadAsync(
        string persistenceId, SnapshotSelectionCriteria criteria, CancellationToken cancellationToken = default) =>
        throw new NotSupportedException("a snapshot was looked for");

    protected override Task SaveAsync(
        SnapshotMetadata metadata, object snapshot, CancellationToken cancellationToken = default) =>
        throw new NotSupportedException("a snapshot was saved");

    protected override Task DeleteAsync(SnapshotMetadata metadata, CancellationToken cancellationToken = default) =>
        throw new NotSupportedException("a snapshot was deleted");

    protected override Task DeleteAsync(
        string persistenceId, SnapshotSelectionCriteria criteria, CancellationToken cancellationToken = default) =>
        throw new NotSupportedException("snapshots were deleted");
}
