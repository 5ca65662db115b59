using System.Collections.Immutable;
using System.Data.Common;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Akka.Actor;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Requests;
using SpotServe.Actors.Threads;
using SpotServe.Actors.Tracing;

namespace SpotServe.Actors.Gateway;

/// <summary>The actors of a control node that the HTTP edge talks to.</summary>
public sealed record ControlActors(ActorSystem System, IActorRef Gateway, IActorRef Requests);

/// <summary>The HTTP edge's way into the actor system: the only place that asks, always with a limit.</summary>
/// <param name="actors">Lazy, because HTTP is set up before the actor system has started.</param>
/// <param name="journal">Knows which requests are open, wherever they are.</param>
public sealed class GenerationClient(
    Lazy<ControlActors> actors,
    IRequestJournal journal,
    ClusterBoard board,
    GatewayOptions options,
    TimeProvider clock)
    : IGenerationClient
{
    /// <summary>The gateway speaks every second.</summary>
    private static readonly TimeSpan GatewaySilenceMax = TimeSpan.FromSeconds(10);

    /// <summary>Longer than a planner takes to move off a lost control node.</summary>
    private static readonly TimeSpan PlannerSilenceMax = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan JournalMax = TimeSpan.FromSeconds(10);

    /// <summary>Requests of a list that are asked at once.</summary>
    private const int AskedAtOnce = 32;

    private static readonly TimeSpan StreamSilenceMax = TimeSpan.FromSeconds(2);

    /// <summary>A question is asked again after this: messages to a lost control node are lost with it.</summary>
    private static readonly TimeSpan AskAgainAfter = TimeSpan.FromSeconds(1);

    public ServiceStatus Status
    {
        get
        {
            var view = board.View;
            var status = view is null
                ? new ServiceStatus(false, "waiting for the planner", null, 0)
                : new ServiceStatus(
                    !view.Replicas.IsEmpty, view.StatusLine, view.Model?.Name, view.Model?.ContextMax ?? 0)
                {
                    Epoch = view.ServingEpoch,
                    Replicas = view.Loads,
                };
            var note = board.Gateway;
            return status with
            {
                JournalTrouble = options.Journal.Trouble,
                JournalDamages = options.Journal.Damages,
                GatewayTrouble = TroubleOf(note),
                OpenRequests = note?.Open ?? 0,
                OpenRequestsMax = options.OpenRequestsMax,
            };
        }
    }

    public async Task<Admission> SubmitAsync(GenerationSpec spec, CancellationToken cancel)
    {
        spec = spec with { TraceParent = Traces.Current };
        var span = Traces.Begin("gateway", spec.TraceParent);
        var admission = await AskAsync(spec, cancel).ConfigureAwait(false);
        span?.SetTag("spotserve.request", (admission as Admission.Accepted)?.Id.Value);
        Traces.End(span, admission is Admission.Accepted ? null : admission.GetType().Name);
        return admission;
    }

    private async Task<Admission> AskAsync(GenerationSpec spec, CancellationToken cancel)
    {
        try
        {
            return await actors.Value.Gateway.Ask<Admission>(
                new GatewayProtocol.Generate(spec),
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
        var known = (RequestProtocol.Described)await AskAsync(new RequestProtocol.Describe(id), cancel)
            .ConfigureAwait(false);
        return new RequestDescription(known.At, known.PromptTokens, known.Tail)
        {
            TokenCount = known.TokenCount,
            HasEnded = known.Finished is not null,
            IsFull = known.IsFull,
        };
    }

    public async Task<FinishReason> CancelAsync(RequestId id, CancellationToken cancel) =>
        ((RequestProtocol.HasEnded)await AskAsync(new RequestProtocol.CancelRequest(id), cancel)
            .ConfigureAwait(false)).Reason;

    public async Task<OpenRequestList> ListOpenAsync(int max, CancellationToken cancel)
    {
        ImmutableArray<RequestId> ids;
        try
        {
            ids = await journal.FindOpenAsync(max + 1, cancel).WaitAsync(JournalMax, cancel).ConfigureAwait(false);
        }
        catch (Exception error) when (error is DbException or TimeoutException)
        {
            throw new JournalSilentException(error);
        }

        var found = new OpenRequest?[Math.Min(ids.Length, max)];
        await Parallel.ForAsync(
            0, found.Length, new ParallelOptions { MaxDegreeOfParallelism = AskedAtOnce, CancellationToken = cancel },
            async (i, stop) => found[i] = await FindAsync(ids[i], stop).ConfigureAwait(false)).ConfigureAwait(false);
        return new OpenRequestList([.. found.OfType<OpenRequest>()], ids.Length <= max);
    }

    public async IAsyncEnumerable<TokenBatch> StreamAsync(
        RequestId id, int fromIndex, [EnumeratorCancellation] CancellationToken cancel)
    {
        // A token goes on to its client on the thread that brings it: to wake another one costs more than to send it.
        // Whoever reads here waits for nothing but by await.
        var channel = Channel.CreateUnbounded<TokenBatch>(new()
        {
            SingleReader = true,
            SingleWriter = true,
            AllowSynchronousContinuations = true,
        });
        var (system, _, requests) = actors.Value;
        var stream = system.ActorOf(Made.By(
            () => new StreamActor(id, fromIndex, requests, channel.Writer, StreamSilenceMax)).OnTokenThread(system));
        try
        {
            await foreach (var batch in channel.Reader.ReadAllAsync(cancel).ConfigureAwait(false)) yield return batch;
        }
        finally
        {
            system.Stop(stream);
        }
    }

    private string? TroubleOf(GatewayNote? note)
    {
        var now = clock.GetUtcNow();
        if (note is null) return "the gateway has not started yet";
        if (now - note.At > GatewaySilenceMax) return Say($"the gateway did not move for {now - note.At:g}");
        return note.HeardAt is { } heard && now - heard > PlannerSilenceMax
            ? Say($"the planner was last heard {(now - heard).TotalSeconds:0} s ago")
            : null;

        static string Say(FormattableString text) => text.ToString(System.Globalization.CultureInfo.InvariantCulture);
    }

    public void Cancel(RequestId id) => actors.Value.Requests.Tell(new RequestProtocol.CancelRequest(id));

    /// <summary>Null when it has ended since.</summary>
    private async Task<OpenRequest?> FindAsync(RequestId id, CancellationToken cancel)
    {
        try
        {
            var answer = await actors.Value.Requests.Ask<RequestProtocol.IMessage>(
                new RequestProtocol.Describe(id), AskAgainAfter, cancel).ConfigureAwait(false);
            return answer is RequestProtocol.Described { Finished: null } known
                ? new OpenRequest(id, new OpenRequestProgress(
                    known.At, known.PromptTokens, known.TokenCount, known.Readers))
                : null;
        }
        catch (AskTimeoutException)
        {
            return new OpenRequest(id, Progress: null);
        }
    }

    /// <summary>Asks a request's entity until it answers.</summary>
    private async Task<RequestProtocol.IMessage> AskAsync(RequestProtocol.IMessage question, CancellationToken cancel)
    {
        for (var waited = TimeSpan.Zero; waited < options.DescribeTimeout; waited += AskAgainAfter)
        {
            try
            {
                var answer = await actors.Value.Requests.Ask<RequestProtocol.IMessage>(
                    question, AskAgainAfter, cancel).ConfigureAwait(false);
                return answer switch
                {
                    RequestProtocol.Unknown => throw new RequestUnknownException(question.Id),
                    RequestProtocol.Damaged damaged => throw new RequestDamagedException(damaged.Error),
                    _ => answer,
                };
            }
            catch (AskTimeoutException)
            {
                // The loop bounds the attempts.
            }
        }

        throw new RequestSilentException(question.Id, options.DescribeTimeout);
    }
}
