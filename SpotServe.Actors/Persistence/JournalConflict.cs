using System.Data.Common;
using Microsoft.Data.Sqlite;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// A write that the journal refused because the entry is there already: another incarnation of the same entity, in a
/// process that took this one for lost, has gone on. It says nothing of the journal's health.
/// </summary>
internal static class JournalConflict
{
    /// <summary>SQLSTATE of PostgreSQL's unique_violation.</summary>
    public const string UniqueViolation = "23505";

    private const int SqliteConstraint = 19;

    public static bool IsIn(Exception cause)
    {
        for (var error = cause; error is not null; error = error.InnerException!)
        {
            if (error is SqliteException { SqliteErrorCode: SqliteConstraint }) return true;
            if (error is DbException { SqlState: UniqueViolation }) return true;
        }

        return false;
    }
}
