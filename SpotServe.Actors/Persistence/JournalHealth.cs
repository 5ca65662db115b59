using System.Runtime.Serialization;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// Whether this process's journal takes writes, as the last write and the last probe say. Written by whoever writes,
/// read by the gateway, by request entities and by HTTP. Thread-safe.
/// </summary>
public sealed class JournalHealth
{
    private const int DamagesMax = 8;

    private readonly Lock _lock = new();
    private readonly List<string> _damages = [];
    private volatile string? _trouble;

    /// <summary>A line for the operator whenever writes begin to fail or work again, and for each damaged entry.
    /// Raised on the thread of whoever found out: return quickly.</summary>
    public event Action<string>? Told;

    /// <summary>Why the last write failed; null when it worked, or when none was tried yet.</summary>
    public string? Trouble => _trouble;

    /// <summary>Damaged entries, the first few, each with what to do.</summary>
    public IReadOnlyList<string> Damages
    {
        get
        {
            lock (_lock) return [.. _damages];
        }
    }

    public void Failed(string why)
    {
        lock (_lock)
        {
            var isNew = _trouble is null;
            _trouble = why;
            if (!isNew) return;
        }

        Told?.Invoke($"The journal takes no writes: {why.TrimEnd('.')}. New requests get 503 and accepted ones wait; " +
            "they go on by themselves once it does.");
    }

    public void Worked()
    {
        lock (_lock)
        {
            if (_trouble is null) return;
            _trouble = null;
        }

        Told?.Invoke("The journal takes writes again.");
    }

    /// <summary>What is wrong with an entry; null when it was the database that failed.</summary>
    public static string? DamageIn(Exception reason)
    {
        for (var error = reason; error is not null; error = error.InnerException!)
            if (error is JournalFormatException or InvariantException or SerializationException) return error.Message;
        return null;
    }

    /// <summary>The planner goes on without one of its entries.</summary>
    internal void PlannerLost(DamagedEntry entry) => Damaged(
        $"{entry.Where}: the planner goes on without it. It does not know any more what served, so a layout is " +
        "made anew and requests go on from their tokens; the next epoch is higher than any before. Nothing has to be " +
        "done. " +
        $"To be rid of the entry: DELETE FROM journal WHERE persistence_id = '{entry.PersistenceId}' " +
        $"AND sequence_number = {entry.SequenceNumber}");

    /// <summary>A request cannot go on without one of its entries.</summary>
    /// <returns>As of <see cref="Damaged"/>.</returns>
    internal bool RequestLost(RequestId id, DamagedEntry entry) => Damaged(
        $"{entry.Where}: request {id} is lost, the others go on. Restore the journal from a backup to have it " +
        $"back. To be rid of it: DELETE /v1/requests/{id}, or DELETE FROM journal WHERE persistence_id = " +
        $"'{entry.PersistenceId}'");

    /// <summary>The planner's own entries cannot be read: nobody plans until somebody has mended them.</summary>
    public void PlannerDamaged(string damage) => Damaged(
        $"The planner's journal cannot be read, and nothing is planned until it can: {damage.TrimEnd('.')}. Restore " +
        "the journal from a backup. Or give up the record of past layouts, not the requests: stop all nodes and " +
        "control nodes, run DELETE FROM journal WHERE persistence_id = 'planner', and start them again.");

    /// <summary>An entry cannot be read. What it belongs to is lost, nothing else is. The first few are kept and
    /// told.</summary>
    /// <returns>Whether it is one of those, and was not known.</returns>
    public bool Damaged(string what)
    {
        lock (_lock)
        {
            if (_damages.Count == DamagesMax || _damages.Contains(what)) return false;
            _damages.Add(what);
        }

        Told?.Invoke(what);
        return true;
    }
}
