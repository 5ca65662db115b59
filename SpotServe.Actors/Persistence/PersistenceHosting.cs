using System.Data.Common;
using Akka.Hosting;
using Akka.Persistence.Sql.Config;
using LinqToDB;
using LinqToDB.Interceptors;
using SpotServe.Actors.Threads;

namespace SpotServe.Actors.Persistence;

/// <summary>Sets up the journal and the snapshot store.</summary>
public static class PersistenceHosting
{
    // The same for both databases. Each setting that is not Akka.Persistence.Sql's default has its reason.
    private const string Common =
        $$"""
        akka.persistence {
          journal {
            plugin = "akka.persistence.journal.sql"
            sql {
              class = "SpotServe.Actors.Persistence.SqlJournal, SpotServe.Actors"
              # Where the entities are that write there.
              plugin-dispatcher = "{{TokenThread.Name}}"
              # We tag nothing: without the tag table a deletion is one statement less.
              tag-write-mode = Csv
              # An event is small and every waiting one holds up a stream: what waits goes in one transaction.
              batch-size = 400
              # An open circuit would fail reads, too, and stay open for longer than a disk stays full. Requests wait
              # for the journal by themselves (JournalHealth); of the breaker only its limit for a call is wanted.
              circuit-breaker.max-failures = 1000000
            }
          }
          snapshot-store {
            plugin = "akka.persistence.snapshot-store.sql"
            sql.class = "Akka.Persistence.Sql.Snapshot.SqlSnapshotStore, Akka.Persistence.Sql"
          }
        }
        """;

    private const string Sqlite =
        """
        akka.persistence {
          journal.sql {
            # SQLite has one writer at a time; a second one would only wait for its lock.
            parallelism = 1
            # Microsoft.Data.Sqlite begins such a transaction deferred, so that a reader takes no write lock. With the
            # write-ahead log readers see a consistent snapshot all the same.
            read-isolation-level = read-uncommitted
          }
          snapshot-store.sql.read-isolation-level = read-uncommitted
        }
        """;

    private const string Postgres =
        """
        akka.persistence.journal.sql {
          # Commits wait for the disk one beside the other; more than this only makes batches smaller.
          parallelism = 4
        }
        """;

    /// <summary>
    /// Journal and snapshots in SQLite or PostgreSQL, both with the same tables, events in the schema of
    /// <see cref="StoredEvents"/>. A missing SQLite file is made here.
    /// </summary>
    /// <exception cref="InvalidOperationException">The SQLite file cannot be made or opened; says why.</exception>
    public static AkkaConfigurationBuilder AddSpotServePersistence(
        this AkkaConfigurationBuilder builder, JournalOptions options)
    {
        options.Prepare();
        var data = new DataOptions().UseConnectionString(options.Provider, options.ConnectionString);
        return builder
            .AddTokenThread()
            .AddHocon(Common, HoconAddMode.Prepend)
            .AddHocon(options.IsSqlite ? Sqlite : Postgres, HoconAddMode.Prepend)
            .AddHocon(Indexed(options.Provider), HoconAddMode.Prepend)
            .AddSetup(new JournalSetup(options))
            .AddSetup(new DataOptionsSetup(options.IsSqlite ? data.UseInterceptor(new OffTheStream()) : data))
            .WithCustomSerializer(
                "spotserve-journal",
                StoredEvents.Schema.Events,
                system => new JournalSerializer(system, StoredEvents.Schema));
    }

    /// <summary>
    /// The connection comes from <see cref="DataOptionsSetup"/>, but the indices only from here: without the name the
    /// tables have none, each recovery reads the whole journal, and nothing keeps two writers of one id apart.
    /// </summary>
    private static string Indexed(string provider) =>
        $$"""
        akka.persistence {
          journal.sql.provider-name = "{{provider}}"
          snapshot-store.sql.provider-name = "{{provider}}"
        }
        """;

    /// <summary>
    /// Moves each transaction to the thread pool. The journal collects what arrives while a transaction runs and writes
    /// it in the next one, but SQLite's asynchronous calls are synchronous: they would hold up the stream that
    /// collects,
    /// and every event would be a transaction of its own.
    /// </summary>
    private sealed class OffTheStream : ConnectionInterceptor
    {
        public override async Task ConnectionOpeningAsync(
            ConnectionEventData eventData, DbConnection connection, CancellationToken cancellationToken) =>
            await Task.Yield();
    }
}
