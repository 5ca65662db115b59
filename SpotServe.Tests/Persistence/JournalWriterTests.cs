using System.Data.Common;
using SpotServe.Actors.Persistence;
using Xunit;

namespace SpotServe.Tests.Persistence;

/// <summary>Who shares a transaction with whom, and whose failure it is when one is refused.</summary>
public sealed class JournalWriterTests : IDisposable
{
    private readonly Store _store = new();
    private readonly JournalWriter _writer;

    public JournalWriterTests() => _writer = new JournalWriter(_store);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _store.Gate.Set();
        _writer.Dispose();
        _store.Disposed.Wait(Waits.Max, Cancel);
        _store.Gate.Dispose();
        _store.Disposed.Dispose();
    }

    [Fact]
    public async Task What_comes_while_a_transaction_runs_goes_into_the_next_one_together()
    {
        var works = await WhileTheFirstIsWrittenAsync(["a", "b", "c"]);

        foreach (var work in works) Assert.Null(await work.ToldAsync(Cancel));
        Assert.Equal(["first", "a b c"], _store.Transactions);
    }

    [Theory]
    [InlineData("a", "b")]
    [InlineData("b", "b")]
    [InlineData("e", "b")]
    public async Task An_entity_whose_event_is_there_already_fails_alone(string doubled, string other)
    {
        _store.Doubled = [doubled, other];

        var works = await WhileTheFirstIsWrittenAsync(["a", "b", "c", "d", "e"]);

        foreach (var work in works)
        {
            var error = await work.ToldAsync(Cancel);
            Assert.Equal(_store.Doubled.Contains(work.PersistenceId), error is not null);
        }

        Assert.Equal(
            ((string[])["first", "a", "b", "c", "d", "e"]).Except(_store.Doubled),
            _store.Transactions.SelectMany(ids => ids.Split(' ')));
    }

    [Fact]
    public async Task A_full_disk_is_everybodys_and_is_tried_once()
    {
        var works = await WhileTheFirstIsWrittenAsync(["a", "b", "c"], then: () => _store.Failure = new IOException());

        foreach (var work in works) Assert.IsType<IOException>(await work.ToldAsync(Cancel));
        Assert.Equal(2, _store.Tries);
    }

    [Fact]
    public async Task An_entity_that_comes_back_waits_for_what_its_former_self_wrote_and_for_nobody_else()
    {
        _store.Gate.Reset();
        var work = Give("a");
        _store.Entered.Wait(Waits.Max, Cancel);

        var done = _writer.WhenDoneFor("a");

        Assert.False(done.IsCompleted);
        Assert.True(_writer.WhenDoneFor("b").IsCompleted);
        _store.Gate.Set();
        await done.WaitAsync(Waits.Max, Cancel);
        Assert.True(work.IsTold);
    }

    [Fact]
    public async Task What_was_given_before_the_end_is_still_done_in_order()
    {
        _store.Gate.Reset();
        Work[] works = [Give("a"), Give("b", isDeletion: true), Give("c")];

        _writer.Dispose();
        _store.Gate.Set();

        foreach (var work in works) Assert.Null(await work.ToldAsync(Cancel));
        Assert.Equal("a,b deleted,c", string.Join(',', _store.Transactions));
    }

    private async Task<Work[]> WhileTheFirstIsWrittenAsync(string[] ids, Action? then = null)
    {
        _store.Gate.Reset();
        var first = Give("first");
        _store.Entered.Wait(Waits.Max, Cancel);
        Work[] works = [.. ids.Select(id => Give(id))];
        then?.Invoke();
        _store.Gate.Set();
        await first.ToldAsync(Cancel);
        return works;
    }

    private Work Give(string id, bool isDeletion = false)
    {
        var work = new Work(id, isDeletion);
        _writer.Give(work);
        return work;
    }

    private sealed class Work(string id, bool isDeletion) : JournalWork(id)
    {
        private readonly TaskCompletionSource<Exception?> _told = new(
            TaskCreationOptions.RunContinuationsAsynchronously);

        public bool IsTold => _told.Task.IsCompleted;

        public override IReadOnlyList<JournalRow> Rows { get; } =
            isDeletion ? [] : [new JournalRow(id, 1, 0, [1], "m", 1, "w")];

        public override void Do(IJournalStore store) => store.Delete(PersistenceId, 1);

        public override void Tell(Exception? error) => _told.SetResult(error);

        public Task<Exception?> ToldAsync(CancellationToken cancel) => _told.Task.WaitAsync(Waits.Max, cancel);
    }

    /// <summary>Holds each transaction back while the gate is closed.</summary>
    private sealed class Store : IJournalStore
    {
        public ManualResetEventSlim Gate { get; } = new(initialState: true);

        public SemaphoreSlim Entered { get; } = new(0);

        public ManualResetEventSlim Disposed { get; } = new();

        public HashSet<string> Doubled { get; set; } = [];

        public Exception? Failure { get; set; }

        public List<string> Transactions { get; } = [];

        public int Tries { get; private set; }

        public void Insert(IReadOnlyList<JournalRow> rows)
        {
            Tries++;
            var failure = Failure;
            Entered.Release();
            Gate.Wait(Waits.Max);
            if (failure is not null) throw failure;
            if (rows.Any(row => Doubled.Contains(row.PersistenceId))) throw new Refused();
            Transactions.Add(string.Join(' ', rows.Select(row => row.PersistenceId)));
        }

        public void Delete(string persistenceId, long last) => Transactions.Add($"{persistenceId} deleted");

        public void Dispose() => Disposed.Set();
    }

    private sealed class Refused : DbException
    {
        public override string SqlState => JournalConflict.UniqueViolation;
    }
}
