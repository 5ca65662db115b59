using CsCheck;
using SpotServe.Actors.DataPlane;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class PacingTests
{
    private const int ChunkBytes = 1024 * 1024;

    [Fact]
    public void Decoding_slows_by_less_than_the_limit_while_bulk_moves_whatever_the_machine() =>
        Gen.Select(Gen.Double[0.005, 0.2], Gen.Double[100e6, 4e9], Gen.Double[0, 0.05], Gen.Int).Sample(
            (stepSeconds, harmfulBytesPerSecond, noise, seed) =>
            {
                // At harmfulBytesPerSecond a step takes twice as long as undisturbed; the link gives 5 GB/s.
                var plant = new Plant(stepSeconds, harmfulBytesPerSecond, 5e9, noise, new Random(seed));
                plant.Run(TimeSpan.FromSeconds(5), bulk: false);
                plant.Run(TimeSpan.FromSeconds(10 + (100 * stepSeconds)), bulk: true);

                var (slowdown, moved) = plant.Run(TimeSpan.FromSeconds(20 + (200 * stepSeconds)), bulk: true);

                Assert.InRange(slowdown, 0, 0.2);
                // Nor is it held back for nothing: a third of what the limit allows moves, or the floor.
                var allowed = Math.Min(0.2 * harmfulBytesPerSecond, 5e9);
                Assert.True(
                    moved >= Math.Min(allowed / 3, allowed - 6e6),
                    $"{moved / 1e6:0} MB/s moved, {allowed / 1e6:0} MB/s would have been allowed");
            },
            iter: 200);

    [Fact]
    public void Bulk_begins_carefully_when_nothing_is_known_of_the_engine()
    {
        var plant = new Plant(0.03, harmfulBytesPerSecond: 100e6, 5e9, 0, new Random(1));

        var (slowdown, _) = plant.Run(TimeSpan.FromSeconds(30), bulk: true);

        Assert.InRange(slowdown, 0, 0.2);
    }

    [Fact]
    public void Nothing_is_held_back_when_the_engine_is_idle()
    {
        var plant = new Plant(0.03, harmfulBytesPerSecond: 100e6, 5e9, 0, new Random(1));
        Assert.Equal(double.PositiveInfinity, plant.Pacer.BytesPerSecond);
        plant.Run(TimeSpan.FromSeconds(5), bulk: true);
        Assert.True(double.IsFinite(plant.Pacer.BytesPerSecond));

        plant.Clock.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal(double.PositiveInfinity, plant.Pacer.BytesPerSecond);
        for (var i = 0; i < 1000; i++) Assert.Equal(TimeSpan.Zero, plant.Pacer.TryTake(ChunkBytes, isUrgent: false));
    }

    [Fact]
    public void Urgent_bytes_are_never_held_back_and_others_wait_their_turn()
    {
        var plant = new Plant(0.03, harmfulBytesPerSecond: 100e6, 5e9, 0, new Random(1));
        plant.Run(TimeSpan.FromSeconds(5), bulk: false);
        plant.Pacer.TryTake(64 * ChunkBytes, isUrgent: false);

        Assert.True(plant.Pacer.TryTake(ChunkBytes, isUrgent: false) > TimeSpan.FromMilliseconds(500));
        for (var i = 0; i < 1000; i++) Assert.Equal(TimeSpan.Zero, plant.Pacer.TryTake(ChunkBytes, isUrgent: true));
    }

    [Fact]
    public void Engine_is_idle_when_its_step_failed_and_busy_while_a_long_one_runs()
    {
        var clock = new StepClock();
        var pacer = new TransferPacer(new TransferPacerOptions(), clock);
        var meter = pacer.Meter();
        meter.Begin();
        clock.Advance(TimeSpan.FromMinutes(1));
        Assert.True(double.IsFinite(pacer.BytesPerSecond));

        meter.Dispose();

        Assert.Equal(double.PositiveInfinity, pacer.BytesPerSecond);
    }

    [Fact]
    public void Waiting_for_leave_ends_when_it_is_cancelled()
    {
        var pacer = new TransferPacer(new TransferPacerOptions(), TimeProvider.System);
        pacer.Meter().Begin();
        pacer.Take(256 * ChunkBytes, isUrgent: false, TestContext.Current.CancellationToken);

        Assert.ThrowsAny<OperationCanceledException>(() =>
            pacer.Take(1, isUrgent: false, new CancellationToken(canceled: true)));
    }

    /// <summary>
    /// A machine whose steps take longer the more bulk moves during them: each byte costs the engine the same.
    /// </summary>
    private sealed class Plant(
        double stepSeconds, double harmfulBytesPerSecond, double linkBytesPerSecond, double noise, Random random)
    {
        private const int Parts = 16;

        private StepMeter? _meter;
        private TransferPacer? _pacer;

        public StepClock Clock { get; } = new();

        public TransferPacer Pacer => _pacer ??= new TransferPacer(new TransferPacerOptions(), Clock);

        /// <summary>Runs steps for so long.</summary>
        /// <returns>How much longer than undisturbed they took in all, as a share, and bulk per second.</returns>
        public (double Slowdown, double MovedBytesPerSecond) Run(TimeSpan span, bool bulk)
        {
            _meter ??= Pacer.Meter();
            var (took, due, moved) = (0.0, 0.0, 0L);
            while (took < span.TotalSeconds)
            {
                _meter.Begin();
                var undisturbed = stepSeconds * (1 + (noise * ((2 * random.NextDouble()) - 1)));
                var (seconds, bytes) = Step(undisturbed, bulk);
                _meter.End(tokens: 8);
                took += seconds;
                due += undisturbed;
                moved += bytes;
            }

            return ((took / due) - 1, moved / took);
        }

        /// <summary>Time passes in small parts; in each, chunks move as the pacer and the link allow.</summary>
        private (double Seconds, long Bytes) Step(double undisturbed, bool bulk)
        {
            var (seconds, bytes) = (0.0, 0L);
            var part = undisturbed / Parts;
            for (var i = 0; i < Parts; i++)
            {
                var chunks = 0;
                while (bulk && chunks * ChunkBytes < linkBytesPerSecond * part
                    && Pacer.TryTake(ChunkBytes, isUrgent: false) == TimeSpan.Zero) chunks++;
                bytes += (long)chunks * ChunkBytes;
                var length = part + (chunks * ChunkBytes / harmfulBytesPerSecond);
                Clock.Advance(TimeSpan.FromSeconds(length));
                seconds += length;
            }

            return (seconds, bytes);
        }
    }
}

/// <summary>A clock whose timestamps tests move.</summary>
internal sealed class StepClock : TimeProvider
{
    private long _ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _ticks;

    public void Advance(TimeSpan by) => _ticks += by.Ticks;
}
