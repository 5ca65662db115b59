using CsCheck;
using SpotServe.Node.Engine.Cpu;
using Xunit;

namespace SpotServe.Tests.Engine;

public sealed class CpuWorkersTests
{
    [Fact]
    public void Every_piece_of_every_loop_runs_once() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[0, 40].Array[1, 300]).Sample(
            (threads, loops) =>
            {
                using var workers = new CpuWorkers(threads);
                foreach (var count in loops)
                {
                    var runs = new int[count];
                    workers.Run(count, piece => Interlocked.Increment(ref runs[piece]));
                    Assert.All(runs, times => Assert.Equal(1, times));
                }
            },
            iter: 60, threads: 1);

    [Fact]
    public void Loop_that_fails_says_so_to_its_caller_and_the_next_one_runs()
    {
        using var workers = new CpuWorkers(3);
        for (var i = 0; i < 200; i++)
        {
            var error = Record.Exception(() => workers.Run(12, piece =>
            {
                if (piece == 7) throw new FormatException("seven");
            }));
            Assert.Equal("seven", (error as AggregateException)?.InnerException?.Message ?? error!.Message);

            var ran = 0;
            workers.Run(12, _ => Interlocked.Increment(ref ran));
            Assert.Equal(12, ran);
        }
    }

    [Fact]
    public void Threads_share_a_loop_and_end_with_their_owner()
    {
        var workers = new CpuWorkers(2);
        using var both = new Barrier(2);

        workers.Run(2, _ => Assert.True(both.SignalAndWait(30_000, TestContext.Current.CancellationToken)));
        workers.Dispose();

        Assert.Throws<ObjectDisposedException>(() => workers.Run(2, _ => { }));
    }
}
