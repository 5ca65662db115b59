using System.Collections.Immutable;
using SpotServe.Actors.Requests;

namespace SpotServe.Actors.Gateway;

/// <summary>The conversation between the HTTP edge and the gateway actor of the same process.</summary>
public static class GatewayProtocol
{
    public interface IMessage;

    /// <summary>Accept and generate. Answered by <see cref="Admission"/>.</summary>
    /// <param name="Stops">Texts that end the generation.</param>
    public sealed record Generate(
        ImmutableArray<int> Prompt, GenerationParameters Parameters, ImmutableArray<string> Stops) : IMessage;
}
