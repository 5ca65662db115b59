namespace SpotServe.Actors.Hosting;

/// <summary>What the user asked of a program cannot be done; the message is all that they need to see.</summary>
public sealed class UsageException(string message) : Exception(message);
