using System.Collections.Immutable;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Akka.Actor;
using SpotServe.Actors.Requests;

namespace SpotServe.Actors.Gateway;

/// <summary>The actors of a control node that the HTTP edge talks to.</summary>
public sealed record ControlActors(ActorSystem System, IActorRef Gateway, IActorRef Requests);

/// <summary>The HTTP edge's way into the actor system: the only place that asks, always with a limit.</summary>
/// <param name="actors">Lazy, because HTTP is set up before the actor system has started.</param>
public sealed class GenerationClient(Lazy<ControlActors> actors, ClusterBoard board, GatewayOptions options)
    : IGenerationClient
{
    private static readonly TimeSpan StreamSilenceMax = TimeSpan.FromSeconds(2);

    /// <summary>A question is asked again after this: messages to a lost control node are lost with it.</summary>
    private static readonly TimeSpan AskAgainAfter = TimeSpan.FromSeconds(1);

    public ServiceStatus Status
    {
        get
        {
            var view = board.View;
            return view is null
                ? new ServiceStatus(false, "waiting for the planner", null, 0)
                : new ServiceStatus(
                    !view.Replicas.IsEmpty, view.Detail, view.Model?.Name, view.Model?.ContextMax ?? 0)
                {
                    Epoch = view.ServingEpoch,
                    Replicas = view.Loads,
                };
        }
    }

    public async Task<Admission> SubmitAsync(
        ImmutableArray<int> prompt,
        GenerationParameters parameters,
        ImmutableArray<string> stops,
        CancellationToken cancel)
    {
        try
        {
            return await actors.Value.Gateway.Ask<Admission>(
                new GatewayProtocol.Generate(prompt, parameters, stops),
                options.AcceptTimeout + options.AcceptTimeout,
                cancel).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            return new Admission.Unavailable("The gateway did not answer.", options.RetryAfter);
        }
    }

    public async Task<RequestDescription> DescribeAsync(RequestId id, CancellationToken cancel)
    {
        for (var waited = TimeSpan.Zero; waited < options.DescribeTimeout; waited += AskAgainAfter)
        {
            try
            {
                return await actors.Value.Requests.Ask<RequestProtocol.IMessage>(
                    new RequestProtocol.Describe(id), AskAgainAfter, cancel).ConfigureAwait(false) switch
                {
                    RequestProtocol.Described known => new RequestDescription(
                        known.At, known.PromptTokens, known.Tail, known.Stops, known.StopTokens,
                        known.ShowsSpecialTokens)
                    {
                        TokenCount = known.TokenCount,
                        HasEnded = known.Finished is not null,
                        IsFull = known.IsFull,
                    },
                    RequestProtocol.Unknown => throw new RequestUnknownException(id),
                    _ => throw new UnreachableException(),
                };
            }
            catch (AskTimeoutException)
            {
                // The loop bounds the attempts.
            }
        }

        throw new RequestSilentException(id, options.DescribeTimeout);
    }

    public async IAsyncEnumerable<TokenBatch> StreamAsync(
        RequestId id, int fromIndex, [EnumeratorCancellation] CancellationToken cancel)
    {
        var channel = Channel.CreateUnbounded<TokenBatch>(new() { SingleReader = true, SingleWriter = true });
        var (system, _, requests) = actors.Value;
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

    public void Cancel(RequestId id) => actors.Value.Requests.Tell(new RequestProtocol.CancelRequest(id));
}
