using System.Collections.Immutable;
using Akka.Actor;

namespace SpotServe.Tests.Serialization;

/// <summary>Every kind of field that a message may have, whatever the real protocols use at the moment.</summary>
public static class TestProtocol
{
    public enum Colour
    {
        Red,
        Green,
    }

    public readonly record struct Key(string Name, long Number);

    public abstract record Shape
    {
        public sealed record Circle(double Radius) : Shape;

        public sealed record Nothing : Shape;
    }

    public interface IAnimal;

    public sealed record Cat(string Name) : IAnimal;

    public sealed record Everything(
        bool Flag, byte Byte, short Short, int Int, long Long, ulong ULong, float Float, double Double, string Text,
        string? MaybeText, Guid Guid, DateTimeOffset At, TimeSpan For, Colour Colour, Colour? MaybeColour,
        int? MaybeInt, Key Key, Key? MaybeKey, Shape Shape, IAnimal Animal, IActorRef Actor, IActorRef? MaybeActor);

    public sealed record Collections(
        ImmutableArray<int> Tokens, ImmutableArray<Key> Keys, ImmutableArray<string> Texts,
        ImmutableArray<Shape> Shapes, ImmutableArray<ImmutableArray<long>> Nested, ImmutableArray<Colour> Colours,
        ImmutableArray<IActorRef> Actors, ImmutableDictionary<Key, ImmutableArray<int>> ByKey,
        ImmutableDictionary<string, Shape> ByName);

    public sealed record Empty;

    /// <summary>Its only field may hold any record of an interface.</summary>
    public sealed record Cage(IAnimal Animal);

    /// <summary>Stays on its node, so it may hold anything.</summary>
    public sealed record Piped(Exception Error) : INoSerializationVerificationNeeded;

    public static class Elsewhere
    {
        public sealed record NotAMessage(int Value) : IAnimal;
    }
}
