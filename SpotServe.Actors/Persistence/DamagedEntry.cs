using Akka.Actor;

namespace SpotServe.Actors.Persistence;

/// <summary>What an entity recovers in place of an entry of its journal that cannot be read: it decides what its life
/// is worth without it. Never written.</summary>
/// <param name="PersistenceId">With the sequence number, the row in the table "journal".</param>
/// <param name="Reason">What is wrong with it, in a person's words.</param>
internal sealed record DamagedEntry(string PersistenceId, long SequenceNumber, string Reason)
    : INoSerializationVerificationNeeded
{
    /// <summary>Begins a sentence that says where and what.</summary>
    public string Where =>
        $"The journal's entry with persistence_id '{PersistenceId}' and sequence_number {SequenceNumber} is damaged " +
        $"({Reason.TrimEnd('.')})";
}
