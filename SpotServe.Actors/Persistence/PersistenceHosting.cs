using Akka.Hosting;

namespace SpotServe.Actors.Persistence;

/// <summary>Sets up the journal.</summary>
public static class PersistenceHosting
{
    // Each setting that is not Akka's default has its reason.
    private const string Settings =
        """
        akka.persistence {
          journal {
            plugin = "akka.persistence.journal.spotserve"
            spotserve {
              class = "SpotServe.Actors.Persistence.SqlJournal, SpotServe.Actors"
              # It only passes on what comes; a thread of its own for that would be woken for each token.
              plugin-dispatcher = "akka.actor.default-dispatcher"
              # An open circuit would fail reads for longer than a disk stays full. Requests wait for the journal by
              # themselves (JournalHealth); of the breaker only its limit for a call is wanted.
              circuit-breaker.max-failures = 1000000
            }
          }
          # Nobody takes snapshots: what lasts long writes checkpoints into its journal.
          snapshot-store.plugin = "akka.persistence.no-snapshot-store"
        }
        """;

    /// <summary>
    /// The journal in SQLite or PostgreSQL, both with the same table, events in the schema of
    /// <see cref="StoredEvents"/>. A missing SQLite file and a missing table are made here.
    /// </summary>
    /// <exception cref="InvalidOperationException">The database cannot be made, opened or reached; says
    /// why.</exception>
    public static AkkaConfigurationBuilder AddSpotServePersistence(
        this AkkaConfigurationBuilder builder, JournalOptions options)
    {
        options.Prepare();
        return builder
            .AddHocon(Settings, HoconAddMode.Prepend)
            .AddSetup(new JournalSetup(options))
            .WithCustomSerializer(
                "spotserve-journal",
                StoredEvents.Schema.Events,
                system => new JournalSerializer(system, StoredEvents.Schema));
    }
}
