using System.Collections.Immutable;
using System.Threading.Channels;
using Akka.Actor;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Requests;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// One client with one request: asks any control node, reads the stream, and goes on at another with what it has when
/// its connection breaks. Knows what it must get, and breaks the world when it gets anything else.
/// </summary>
internal sealed class SimClient
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);
    private readonly SimCluster _cluster;
    private readonly string _name;
    private readonly int _leavesAfter;
    private readonly List<int> _tokens = [];
    private SimControl? _control;
    private int _connection;

    /// <param name="leavesAfter">Tokens after which it goes away; -1 when it stays.</param>
    public SimClient(
        SimCluster cluster,
        string name,
        ImmutableArray<int> prompt,
        GenerationParameters parameters,
        ImmutableArray<int> expected,
        int leavesAfter)
    {
        _cluster = cluster;
        _name = name;
        _leavesAfter = leavesAfter;
        Prompt = prompt;
        Parameters = parameters;
        Expected = expected;
    }

    public ImmutableArray<int> Prompt { get; }

    public GenerationParameters Parameters { get; }

    public ImmutableArray<int> Expected { get; }

    /// <summary>None where it wants none.</summary>
    public ImmutableArray<TokenLogprobs> ExpectedLogprobs { get; init; } = [];

    /// <summary>What the model says of its prompt's tokens, where it asks for that.</summary>
    public ImmutableArray<TokenLogprobs> ExpectedPrompt { get; init; } = [];

    /// <summary>Its request makes steps fail, after the expected tokens at the latest: it must end with an
    /// error.</summary>
    public bool IsPoison { get; init; }

    /// <summary>The client's trace; null for none.</summary>
    public string? TraceParent { get; init; }

    /// <summary>What it gives itself from its first connection on; null for no limit.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>When its time is over, once it has connected.</summary>
    public DateTimeOffset? Deadline { get; private set; }

    /// <summary>Clients of all kinds are in each other's way, and every request ends with its tokens all the
    /// same.</summary>
    public Standing Standing => new(
        $"client {Prompt.Length % 3}", 1 + (Prompt.Length % 4), (Prompt.Length % 5) - 2);

    public RequestId? Id { get; private set; }

    public bool IsDone { get; private set; }

    /// <summary>Tokens that it was shown.</summary>
    public int TokenCount => _tokens.Count;

    /// <summary>Longest time between two batches of tokens.</summary>
    public TimeSpan LongestGap { get; private set; }

    private TimeSpan _lastAt = TimeSpan.MaxValue;

    public void Connect()
    {
        if (IsDone) return;
        Deadline ??= _cluster.World.Clock.GetUtcNow() + Timeout;
        var connection = ++_connection;
        var ready = _cluster.Controls.Where(control => control.IsReady).ToArray();
        if (ready.Length == 0)
        {
            _cluster.World.After(RetryAfter, Connect);
            return;
        }

        var control = _cluster.World.Pick(ready);
        _control = control;
        control.Process.Spawn(
            Props.Create(() => new Frontend(this, connection, control)), $"{_name}-{connection}");
    }

    /// <summary>A control node ended: whoever is connected to it has to go elsewhere.</summary>
    public void OnBroken(SimControl control)
    {
        if (_control != control || IsDone) return;
        _connection++;
        _control = null;
        _cluster.World.After(_cluster.World.Between(0.05, 0.5), Connect);
    }

    public override string ToString() =>
        $"{_name} ({Id?.Value ?? "not accepted"}): {_tokens.Count} of {Expected.Length} tokens";

    private bool OnAdmission(int connection, Admission admission)
    {
        if (connection != _connection) return false;
        switch (admission)
        {
            case Admission.Accepted accepted:
                _cluster.World.Say($"{_name} is accepted as {accepted.Id}");
                Id = accepted.Id;
                return true;
            case Admission.Refused when IsPoison:
                IsDone = true;
                return false;
            case Admission.Refused refused:
                _cluster.World.Break($"{_name} was refused: {refused.Reason}");
                return false;
            default:
                Retry(connection);
                return false;
        }
    }

    private void Retry(int connection)
    {
        if (connection != _connection || IsDone) return;
        _connection++;
        _cluster.World.After(RetryAfter, Connect);
    }

    private void OnBatch(int connection, TokenBatch batch)
    {
        if (connection != _connection || IsDone) return;
        if (batch.FirstIndex != _tokens.Count)
        {
            _cluster.World.Break($"{this} was shown index {batch.FirstIndex}");
        }

        var committed = _cluster.World.Database.CommittedTokens(Id!.Value);
        if (batch.FirstIndex + batch.Tokens.Length > committed)
        {
            _cluster.World.Break(
                $"{this} was shown {batch.Tokens.Length} tokens from {batch.FirstIndex}, {committed} are on disk");
        }

        var gap = _cluster.World.Now - _lastAt;
        if (gap > LongestGap) LongestGap = gap;
        _lastAt = _cluster.World.Now;
        var told = ExpectedLogprobs.Skip(batch.FirstIndex).Take(batch.Tokens.Length);
        if (!told.SequenceEqual(batch.Logprobs))
            _cluster.World.Break($"{this} was shown other log-probabilities from {batch.FirstIndex}");
        if (batch is { FirstIndex: 0, Tokens.Length: > 0 } && !ExpectedPrompt.SequenceEqual(batch.PromptLogprobs))
            _cluster.World.Break($"{this} was shown other log-probabilities of its prompt");
        foreach (var token in batch.Tokens)
        {
            if (_tokens.Count >= Expected.Length || Expected[_tokens.Count] != token)
            {
                _cluster.World.Break($"{this} was shown {token}, an undisturbed run has "
                    + (_tokens.Count < Expected.Length ? $"{Expected[_tokens.Count]}" : "no more tokens"));
                return;
            }

            _tokens.Add(token);
        }

        if (batch.Finished is { } reason)
        {
            IsDone = true;
            if (IsPoison && reason == FinishReason.Failed) _cluster.World.Say($"{this} ended: {batch.Error}");
            else if (reason == FinishReason.TimedOut && Deadline <= _cluster.World.Clock.GetUtcNow())
                _cluster.World.Say($"{this} ended: {batch.Error}");
            else if (IsPoison || reason != FinishReason.Length || _tokens.Count != Expected.Length)
                _cluster.World.Break($"{this} ended with {reason} ({batch.Error})");
        }
        else if (_leavesAfter >= 0 && _tokens.Count >= _leavesAfter)
        {
            IsDone = true;
            _control!.Region!.Tell(new RequestProtocol.CancelRequest(Id!.Value), ActorRefs.NoSender);
        }
    }

    private void OnStreamEnd(int connection, Exception? error)
    {
        if (connection != _connection || IsDone) return;
        if (error is RequestUnknownException) _cluster.World.Break($"{this} was accepted and is unknown now");
        else Retry(connection);
    }

    /// <summary>The HTTP edge's part: asks the gateway, then streams.</summary>
    private sealed class Frontend : ReceiveActor
    {
        private static readonly TimeSpan SilenceMax = TimeSpan.FromSeconds(2);
        private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(20);
        private readonly SimClient _client;
        private readonly SimControl _control;
        private readonly int _connection;

        public Frontend(SimClient client, int connection, SimControl control)
        {
            _client = client;
            _connection = connection;
            _control = control;
            Receive<Admission>(admission =>
            {
                SetReceiveTimeout(null);
                if (client.OnAdmission(connection, admission)) Stream();
            });
            Receive<ReceiveTimeout>(_ =>
            {
                client.Retry(connection);
                Context.Stop(Self);
            });
        }

        protected override void PreStart()
        {
            if (_client.Id is not null)
            {
                Stream();
                return;
            }

            var spec = new GenerationSpec(_client.Prompt, _client.Parameters)
            {
                SharesPrompt = _client.Prompt.Length % 2 == 0,
                TraceParent = _client.TraceParent,
                Standing = _client.Standing,
                Deadline = _client.Deadline,
            };
            _control.Gateway!.Tell(new GatewayProtocol.Generate(spec));
            SetReceiveTimeout(AnswerMax);
        }

        private void Stream()
        {
            var (id, from) = (_client.Id!.Value, _client._tokens.Count);
            var (region, output) = (_control.Region!, new Output(_client, _connection));
            Context.ActorOf(Props.Create(() => new StreamActor(id, from, region, output, SilenceMax)), "stream");
        }
    }

    private sealed class Output(SimClient client, int connection) : ChannelWriter<TokenBatch>
    {
        public override bool TryWrite(TokenBatch item)
        {
            client.OnBatch(connection, item);
            return true;
        }

        public override bool TryComplete(Exception? error = null)
        {
            client.OnStreamEnd(connection, error);
            return true;
        }

        public override ValueTask<bool> WaitToWriteAsync(CancellationToken cancellationToken = default) =>
            ValueTask.FromResult(true);
    }
}
