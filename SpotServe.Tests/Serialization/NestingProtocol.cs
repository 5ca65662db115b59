namespace SpotServe.Tests.Serialization;

/// <summary>A type that may hold itself, which none of SpotServe's does.</summary>
public static class NestingProtocol
{
    public sealed record Doll(int Level, Doll? Inner);
}
