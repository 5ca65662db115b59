using System.Collections.Immutable;
using Akka.Actor;
using Akka.Persistence;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// Writes of many entities as one (docs/adr/0123). Akka's journal takes each entity's write by itself, with a circuit
/// breaker and its timer, a place in a queue, a promise and a second actor that puts the answers in order; and a step
/// brings a write for each of its requests. Here what is in the mailbox together is one call of that journal, and what
/// comes meanwhile is the next. An entity has one write under way at a time, so that no two groups hold the same one.
/// </summary>
internal sealed partial class SqlJournal
{
    /// <summary>Events after which a group takes no more entities.</summary>
    private const int GroupEventsMax = 400;

    /// <summary>Transactions that the same write may be in. Each time at least one other writer leaves, so more than
    /// a few only happen where many are refused at once.</summary>
    private const int TriesMax = 8;

    private readonly int _groupsMax = config.GetInt("parallelism", 1);
    private readonly TimeSpan _writeMax = config.GetTimeSpan("circuit-breaker.call-timeout", TimeSpan.FromSeconds(10));
    private readonly List<WriteGroup> _groups = [];
    private readonly Queue<EntityWrite> _gathered = new();
    private bool _hasTables;
    private bool _isGathering;

    protected override void PreStart()
    {
        base.PreStart();
        // Akka's journal stashes what comes before it has made its tables, this as well.
        _self.Tell(TablesAreThere.Instance, ActorRefs.NoSender);
    }

    protected override bool AroundReceive(Receive receive, object message)
    {
        if (message is not WriteMessages write || !_hasTables) return base.AroundReceive(receive, message);
        _gathered.Enqueue(new EntityWrite(write, [.. PreparePersistentBatch(write.Messages)]));
        Gather();
        return true;
    }

    /// <inheritdoc/>
    protected override bool ReceivePluginInternal(object message)
    {
        switch (message)
        {
            case TablesAreThere:
                _hasTables = true;
                return true;
            case GatheringOver:
                _isGathering = false;
                BeginGroup();
                return true;
            case WriteAgain again:
                Write(again.Group, again.Tries);
                return true;
            case ReadHighest read:
                _ = ReadAsync(read);
                return true;
            case GroupEnded ended:
                _groups.Remove(ended.Group);
                Gather();
                return true;
            default:
                return base.ReceivePluginInternal(message);
        }
    }

    /// <inheritdoc/>
    // Called on the journal's own thread, like all that looks at its groups.
    public override Task<long> ReadHighestSequenceNrAsync(
        string persistenceId, long fromSequenceNr, CancellationToken cancellationToken)
    {
        // An entity that is started again while it is written must not use a number twice.
        var writing = _groups.SelectMany(group => group.Writes).Concat(_gathered)
            .FirstOrDefault(one => one.IsOf(persistenceId));
        return writing is null
            ? base.ReadHighestSequenceNrAsync(persistenceId, fromSequenceNr, cancellationToken)
            : ReadAfterAsync(
                writing.Answered, new ReadHighest(persistenceId, fromSequenceNr, cancellationToken));
    }

    private async Task<long> ReadAfterAsync(Task answered, ReadHighest read)
    {
        await answered.WaitAsync(read.Cancel).ConfigureAwait(false);
        // The journal's own state belongs to its actor.
        _self.Tell(read, ActorRefs.NoSender);
        return await read.Found.Task.WaitAsync(read.Cancel).ConfigureAwait(false);
    }

    private async Task ReadAsync(ReadHighest read)
    {
        try
        {
            read.Found.SetResult(
                await base.ReadHighestSequenceNrAsync(read.PersistenceId, read.From, read.Cancel)
                    .ConfigureAwait(false));
        }
        catch (Exception error)   // handed on to whoever waits for it
        {
            read.Found.SetException(error);
        }
    }

    private void Gather()
    {
        if (_isGathering || _gathered.Count == 0 || _groups.Count >= _groupsMax) return;
        // Behind what is in the mailbox by now, which goes in the same group.
        _isGathering = true;
        _self.Tell(GatheringOver.Instance, ActorRefs.NoSender);
    }

    private void BeginGroup()
    {
        if (_gathered.Count == 0 || _groups.Count >= _groupsMax) return;
        var writes = ImmutableArray.CreateBuilder<EntityWrite>(_gathered.Count);
        for (var events = 0; events < GroupEventsMax && _gathered.TryDequeue(out var write); events += write.Events)
            writes.Add(write);
        var group = new WriteGroup(writes.ToImmutable());
        _groups.Add(group);
        Write(group, tries: 1);
        Gather();
    }

    private void Write(WriteGroup group, int tries)
    {
        AtomicWrite[] all = [.. group.Writes.SelectMany(one => one.Atomic)];
        var limit = new CancellationTokenSource(_writeMax);
        var write = all.Length == 0
            ? Task.FromResult<IImmutableList<Exception>>(ImmutableList<Exception>.Empty)
            : WriteMessagesAsync(all, limit.Token);
        _ = FinishAsync(group, write, tries, limit);
    }

    /// <summary>Waits for a group and answers its entities; has those written again that are not to blame for its
    /// failing.</summary>
    private async Task FinishAsync(
        WriteGroup group, Task<IImmutableList<Exception>> write, int tries, CancellationTokenSource limit)
    {
        try
        {
            var rejections = await write.WaitAsync(_writeMax).ConfigureAwait(false);
            var next = 0;
            foreach (var one in group.Writes) next += one.Succeed(rejections, next, _self);
        }
        catch (Exception error)   // handed on to the entities
        {
            if (tries < TriesMax && JournalConflict.IsIn(error))
            {
                await FailThoseThatAreThereAsync(group, error).ConfigureAwait(false);
                if (!group.Writes.IsEmpty)
                {
                    _self.Tell(new WriteAgain(group, tries + 1), ActorRefs.NoSender);
                    return;
                }
            }

            foreach (var one in group.Writes) one.Fail(error, _self);
        }
        finally
        {
            limit.Dispose();
        }

        _self.Tell(new GroupEnded(group), ActorRefs.NoSender);
    }

    /// <summary>Whose own rows are there already has met another incarnation of itself.</summary>
    private async Task FailThoseThatAreThereAsync(WriteGroup group, Exception error)
    {
        var others = ImmutableArray.CreateBuilder<EntityWrite>(group.Writes.Length);
        foreach (var one in group.Writes)
        {
            try
            {
                if (await IsThereAsync(one).WaitAsync(_writeMax).ConfigureAwait(false)) one.Fail(error, _self);
                else others.Add(one);
            }
            catch (Exception unknown)   // handed on: the entity would else wait for ever, and its group
            {
                one.Fail(unknown, _self);
            }
        }

        group.Writes = others.ToImmutable();
    }

    private async Task<bool> IsThereAsync(EntityWrite one)
    {
        foreach (var own in one.Atomic)
        {
            var rows = await Rows.RangeAsync(own.PersistenceId, own.LowestSequenceNr, own.HighestSequenceNr)
                .ConfigureAwait(false);
            if (rows is not null) return true;
        }

        return false;
    }

    private sealed record TablesAreThere : INoSerializationVerificationNeeded
    {
        public static TablesAreThere Instance { get; } = new();
    }

    private sealed record GatheringOver : INoSerializationVerificationNeeded
    {
        public static GatheringOver Instance { get; } = new();
    }

    private sealed record WriteAgain(WriteGroup Group, int Tries) : INoSerializationVerificationNeeded;

    private sealed record ReadHighest(string PersistenceId, long From, CancellationToken Cancel)
        : INoSerializationVerificationNeeded
    {
        public TaskCompletionSource<long> Found { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed record GroupEnded(WriteGroup Group) : INoSerializationVerificationNeeded;
}
