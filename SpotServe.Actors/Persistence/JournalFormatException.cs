namespace SpotServe.Actors.Persistence;

/// <summary>A journal entry cannot be read or written; the message names its manifest and what to do.</summary>
internal sealed class JournalFormatException(string message, Exception? inner = null) : Exception(message, inner);
