using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace SpotServe.Actors;

/// <summary>Always-on assertions: unlike Debug.Assert they hold in Release builds too.</summary>
public static class Invariant
{
    /// <summary>Throws when a claim about our own code is false.</summary>
    /// <exception cref="InvariantException">The claim is false: a bug, never the caller's input.</exception>
    public static void Holds(
        [DoesNotReturnIf(false)] bool condition,
        [CallerArgumentExpression(nameof(condition))] string? claim = null)
    {
        if (!condition) throw new InvariantException(claim ?? "unnamed invariant");
    }
}

/// <summary>Broken code, not a broken world: the process must not go on (supervisors escalate it).</summary>
public sealed class InvariantException(string claim) : Exception($"Invariant broken: {claim}");
