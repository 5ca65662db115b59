using System.Collections.Concurrent;
using Akka.Dispatch;
using SpotServe.Actors.Threads;
using Xunit;

namespace SpotServe.Tests.Threads;

public sealed class OneThreadTests
{
    private const int Senders = 4;
    private const int Each = 20_000;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task All_that_is_given_runs_once_on_one_thread_in_each_senders_order()
    {
        var executor = new OneThread("tokens");
        var ran = new ConcurrentQueue<(int Sender, int Number, int Thread)>();
        var left = new CountdownEvent(Senders * Each);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        await Task.WhenAll(Enumerable.Range(0, Senders).Select(sender => Task.Run(
            () =>
            {
                for (var i = 0; i < Each; i++) executor.Execute(Noting(sender, i));
            },
            Cancel)));
        await ended.Task.WaitAsync(Waits.Max, Cancel);

        Assert.Single(ran.Select(one => one.Thread).Distinct());
        for (var sender = 0; sender < Senders; sender++)
        {
            Assert.Equal(
                Enumerable.Range(0, Each), ran.Where(one => one.Sender == sender).Select(one => one.Number));
        }

        executor.Shutdown();

        Work Noting(int sender, int number) => new(() =>
        {
            ran.Enqueue((sender, number, Environment.CurrentManagedThreadId));
            if (left.Signal()) ended.SetResult();
        });
    }

    [Fact]
    public async Task What_comes_while_it_sleeps_wakes_it_every_time()
    {
        var executor = new OneThread("tokens");

        for (var i = 0; i < 2_000; i++)
        {
            var ran = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            executor.Execute(new Work(ran.SetResult));
            await ran.Task.WaitAsync(Waits.Max, Cancel);
        }

        executor.Shutdown();
    }

    [Fact]
    public async Task What_is_there_or_comes_after_the_end_runs_all_the_same()
    {
        var executor = new OneThread("tokens");
        var both = new CountdownEvent(2);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        executor.Execute(new Work(Note));

        executor.Shutdown();
        executor.Execute(new Work(Note));

        await ended.Task.WaitAsync(Waits.Max, Cancel);

        void Note()
        {
            if (both.Signal()) ended.SetResult();
        }
    }

    private sealed class Work(Action run) : IRunnable
    {
        public void Run() => run();

        public void Execute() => run();
    }
}
