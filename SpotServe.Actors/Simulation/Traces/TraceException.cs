namespace SpotServe.Actors.Simulation;

/// <summary>A trace that cannot be read: says in which file and line, what stands there, and what is
/// expected.</summary>
public sealed class TraceException(string file, int line, string what, string expected)
    : Exception(line > 0 ? $"{file}, line {line}: {what}; {expected}." : $"{file}: {what}; {expected}.")
{
    /// <summary>From 1; 0 when it is the file as a whole.</summary>
    public int Line { get; } = line;
}
