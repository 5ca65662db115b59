using System.Runtime.Serialization;

namespace SpotServe.Actors.Serialization;

/// <summary>
/// A message, or something inside one, is of a type that may not cross nodes. Akka.Remote logs serialisation errors and
/// drops the message; any other exception would close the association, and one bad message would cost the peer.
/// </summary>
internal sealed class UnknownMessageTypeException(string typeName, string reason)
    : SerializationException($"Type '{typeName}' is no known message type: {reason}")
{
    public string TypeName { get; } = typeName;
}

/// <summary>
/// A message exceeds what one frame carries, or what may be sent in fragments.
/// </summary>
internal sealed class MessageTooLongException(Type type, long messageBytes, int messageBytesMax)
    : SerializationException($"{type.Name} takes {messageBytes:N0} bytes; it may have {messageBytesMax:N0}.")
{
    public long MessageBytes { get; } = messageBytes;

    public int MessageBytesMax { get; } = messageBytesMax;
}

/// <summary>Bytes that are no message of this build: damaged, or written by a build with other message types.</summary>
internal sealed class MessageFormatException(string message, Exception? inner = null)
    : SerializationException(message, inner);
