using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Requests;

namespace SpotServe.Actors.Gateway;

/// <summary>The HTTP edge's way into the actor system: the only place that asks, always with a limit.</summary>
public sealed class GenerationClient(
    ActorSystem system, ClusterBoard board, IActorRef gateway, IActorRef requests, GatewayOptions options)
    : IGenerationClient
{
    private static readonly TimeSpan StreamSilenceMax = TimeSpan.FromSeconds(2);

    public ServiceStatus Status
    {
        get
        {
            var view = board.View;
            return view is null
                ? new ServiceStatus(false, "waiting for the planner", null, 0)
                : new ServiceStatus(
                    view.Phase == PlannerPhase.Serving, view.Detail, view.Model?.Name, view.Model?.ContextMax ?? 0);
        }
    }

    public async Task<Admission> SubmitAsync(
        ImmutableArray<int> prompt, GenerationParameters parameters, CancellationToken cancel)
    {
        try
        {
            return await gateway.Ask<Admission>(
                new GatewayProtocol.Generate(prompt, parameters), options.AcceptTimeout + options.AcceptTimeout, cancel)
                .ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            return new Admission.Unavailable("The gateway did not answer.", options.RetryAfter);
        }
    }

    public async IAsyncEnumerable<TokenBatch> StreamAsync(
        RequestId id, int fromIndex, [EnumeratorCancellation] CancellationToken cancel)
    {
        var channel = Channel.CreateUnbounded<TokenBatch>(new() { SingleReader = true, SingleWriter = true });
        var stream = system.ActorOf(Props.Create(
            () => new StreamActor(id, fromIndex, requests, channel.Writer, StreamSilenceMax)));
        try
        {
            await foreach (var batch in channel.Reader.ReadAllAsync(cancel).ConfigureAwait(false)) yield return batch;
        }
        finally
        {
            system.Stop(stream);
        }
    }

    public void Cancel(RequestId id) => requests.Tell(new RequestProtocol.CancelRequest(id));
}
