namespace SpotServe.Actors.Gateway;

/// <summary>The conversation between the HTTP edge and the gateway actor of the same process.</summary>
internal static class GatewayProtocol
{
    public interface IMessage;

    /// <summary>Accept and generate. Answered by <see cref="Admission"/>.</summary>
    public sealed record Generate(GenerationSpec Spec) : IMessage;
}
