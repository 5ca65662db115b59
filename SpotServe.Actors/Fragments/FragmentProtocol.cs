using System.Collections.Immutable;
using Akka.Actor;

namespace SpotServe.Actors.Fragments;

/// <summary>
/// The conversation between the <see cref="FragmentRelay"/>s of two processes: a message that is too long for one
/// frame of Akka.Remote, in fragments. Nothing is sent twice: a lost fragment loses the message, as a lost frame does.
/// </summary>
internal static class FragmentProtocol
{
    public interface IMessage
    {
        /// <summary>Number that the sending relay gives; it gives none twice.</summary>
        long Transfer { get; }
    }

    /// <summary>
    /// A part of a message. Answered by <see cref="FragmentsTaken"/> or <see cref="TransferRefused"/>.
    /// </summary>
    /// <param name="Index">From 0, below <paramref name="Count"/>.</param>
    /// <param name="MessageBytes">Of the whole message, as its serializer wrote it.</param>
    /// <param name="Target">An actor of the receiving process, who gets the message.</param>
    /// <param name="Sender">An actor of the sending process, who is the message's sender.</param>
    public sealed record Fragment(
        long Transfer,
        int Index,
        int Count,
        int MessageBytes,
        IActorRef Target,
        IActorRef Sender,
        ImmutableArray<byte> Content) : IMessage;

    /// <param name="Count">Fragments of the transfer that are here; when all are, the target has its message.</param>
    public sealed record FragmentsTaken(long Transfer, int Count) : IMessage;

    /// <summary>The transfer is over, and nothing of it was delivered.</summary>
    public sealed record TransferRefused(long Transfer, string Reason) : IMessage;
}
