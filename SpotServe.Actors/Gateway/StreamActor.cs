using System.Threading.Channels;
using Akka.Actor;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Actors.Gateway;

/// <summary>
/// One reader of one request: turns the entity's messages into a channel, each index once and in order. Silence or the
/// entity's end makes it subscribe again, so it outlives the entity's moves and restarts. Ends with the request or with
/// its reader.
/// </summary>
internal sealed class StreamActor : ReceiveActor, IWithTimers
{
    private readonly RequestId _id;
    private readonly IActorRef _requests;
    private readonly ChannelWriter<TokenBatch> _output;
    private readonly TimeSpan _silenceMax;
    private IActorRef? _entity;
    private int _nextIndex;
    private bool _heard;

    /// <param name="output">Holds at most the request's tokens, which its TokensMax bounds.</param>
    public StreamActor(
        RequestId id, int fromIndex, IActorRef requests, ChannelWriter<TokenBatch> output, TimeSpan silenceMax)
    {
        _id = id;
        _nextIndex = fromIndex;
        _requests = requests;
        _output = output;
        _silenceMax = silenceMax;
        Receive<TokensAvailable>(OnTokens);
        Receive<Terminated>(OnEntityEnded);
        Receive<TooManyReaders>(_ => Stop(new TooManyReadersException(_id)));
        Receive<Unknown>(_ => Stop(new RequestUnknownException(_id)));
        Receive<CheckSilence>(_ => OnCheckSilence());
    }

    public ITimerScheduler Timers { get; set; } = null!;

    protected override void PreStart()
    {
        SubscribeFromHere();
        Timers.StartPeriodicTimer(nameof(CheckSilence), CheckSilence.Instance, _silenceMax);
    }

    protected override void PostStop()
    {
        _requests.Tell(new Unsubscribe(_id));
        _output.TryComplete();
    }

    private void OnTokens(TokensAvailable available)
    {
        _heard = true;
        WatchSender();
        if (available.FirstIndex > _nextIndex)
        {
            SubscribeFromHere();
            return;
        }

        var known = _nextIndex - available.FirstIndex;
        var tokens = known >= available.Tokens.Length ? [] : available.Tokens[known..];
        if (tokens.Length == 0 && available.Finished is null) return;
        var logprobs = available.Logprobs;
        _output.TryWrite(new TokenBatch(_nextIndex, tokens, available.Finished, available.Error)
        {
            Logprobs = logprobs.IsEmpty ? [] : logprobs[^tokens.Length..],
            ReusedTokens = available.ReusedTokens,
            PromptLogprobs = available.PromptLogprobs,
        });
        _nextIndex += tokens.Length;
        if (available.Finished is not null) Stop(error: null);
    }

    /// <summary>Its end is heard at once, where silence takes a while: when it moves to another control node, and when
    /// the cluster gives up its control node.</summary>
    private void WatchSender()
    {
        if (Sender.Equals(_entity)) return;
        if (_entity is not null) Context.Unwatch(_entity);
        _entity = Sender;
        Context.Watch(_entity);
    }

    private void OnEntityEnded(Terminated ended)
    {
        if (!ended.ActorRef.Equals(_entity)) return;
        _entity = null;
        SubscribeFromHere();
    }

    private void OnCheckSilence()
    {
        if (!_heard) SubscribeFromHere();
        _heard = false;
    }

    private void SubscribeFromHere() => _requests.Tell(new Subscribe(_id, _nextIndex));

    private void Stop(Exception? error)
    {
        _output.TryComplete(error);
        Context.Stop(Self);
    }

    private sealed record CheckSilence
    {
        public static CheckSilence Instance { get; } = new();
    }
}
