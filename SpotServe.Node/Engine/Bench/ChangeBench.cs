using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>
/// Measures a change of layout within one machine: the next layout's weights come from the devices that have them while
/// the old one decodes, then all pages move, and the next layout goes on.
/// </summary>
internal sealed class ChangeBench : IDisposable
{
    private readonly BenchOptions _options;
    private readonly IReadOnlyList<Device> _devices;
    private readonly TorchEngines[] _engines;
    private readonly ReplicaBounds _bounds;
    private readonly int _pagesEach;

    private ChangeBench(BenchOptions options, Action<string> log)
    {
        _options = options;
        _devices = BenchDevices.Open(options.Device, options.Devices, options.TorchLib, options.Threads, log);
        var spec = options.Shape.Spec(options.Type);
        _engines = [.. _devices.Select(device => new TorchEngines(
            spec, options.Shape.Config(), new MadeWeights(), device, numerics: options.Numerics, tell: log))];
        _pagesEach = KvPage.Count(options.Context + options.DecodeSteps + 1);
        _bounds = new ReplicaBounds(
            _pagesEach * options.Batch, Math.Max(options.PrefillTokens, options.Batch), options.Batch);
    }

    /// <summary>Changes from the options' layout to another one and back, as often as there are rounds.</summary>
    /// <param name="next">Stages and ranks.</param>
    /// <returns>The figures as text.</returns>
    /// <exception cref="ArgumentException">A layout does not fit the shape.</exception>
    public static async Task<string> RunAsync(BenchOptions options, (int Stages, int Ranks) next, Action<string> log)
    {
        foreach (var (stages, ranks) in new[] { (options.Stages, options.Ranks), next })
        {
            if (stages < 1 || stages > options.Shape.Layers || ranks < 1 || options.Shape.Heads % ranks != 0)
                throw new ArgumentException($"Layout {stages},{ranks} does not fit {options.Shape.Name}.");
        }

        using var bench = new ChangeBench(options, log);
        return await bench.RunAsync((options.Stages, options.Ranks), next).ConfigureAwait(false);
    }

    public void Dispose()
    {
        foreach (var each in _engines) each.Dispose();
    }

    private async Task<string> RunAsync((int Stages, int Ranks) from, (int Stages, int Ranks) next)
    {
        var shape = _options.Shape;
        var lines = new List<string>
        {
            $"{shape.Name} {_options.Type}, batch {_options.Batch}, context {_options.Context}, "
            + $"{TorchDevices.Describe(_devices[0], _options.Threads)} x {_devices.Count}",
        };
        var serving = await ReplicaAsync(new Epoch(1), from, fetcher: null).ConfigureAwait(false);
        try
        {
            var workload = Workload(serving);
            workload.FillContext(_options.Context, _options.PrefillTokens);
            for (var round = 0; round < 2 * _options.Rounds; round++)
            {
                var layouts = round % 2 == 0 ? (from, next) : (next, from);
                var change = await ChangeAsync(serving, workload, layouts.Item2, new Epoch(round + 2))
                    .ConfigureAwait(false);
                (serving, workload) = (change.Next, change.Workload);
                lines.Add($"({layouts.Item1.Stages},{layouts.Item1.Ranks}) -> "
                    + $"({layouts.Item2.Stages},{layouts.Item2.Ranks}): {change.Text}");
            }
        }
        finally
        {
            serving.Dispose();
        }

        return string.Join('\n', lines);
    }

    private async Task<(InProcessReplica Next, BenchWorkload Workload, string Text)> ChangeAsync(
        InProcessReplica serving, BenchWorkload workload, (int Stages, int Ranks) layout, Epoch epoch)
    {
        var before = Steps(workload, _options.DecodeSteps);
        var fetcher = new Fetcher(_engines);
        var clock = Stopwatch.StartNew();
        // On the pool: the calling thread decodes meanwhile.
        var preparing = Task.Run(() => ReplicaAsync(epoch, layout, fetcher));
        var meanwhile = new List<double>();
        do meanwhile.AddRange(Steps(workload, 1));
        while (!preparing.IsCompleted);
        var next = await preparing.ConfigureAwait(false);
        var ready = clock.Elapsed;
        var expected = workload.Decode(_options.Context);

        clock.Restart();
        var pageBytes = MovePages(serving, next, epoch);
        var moved = clock.Elapsed;
        var follower = Workload(next);
        clock.Restart();
        var tokens = follower.Decode(_options.Context);
        var first = clock.Elapsed;
        var after = Steps(follower, _options.DecodeSteps);
        serving.Dispose();
        foreach (var each in _engines) each.Weights.Trim();
        var others = tokens.Zip(expected, (own, other) => own == other ? 0 : 1).Sum();
        string[] lines =
        [
            Text($"{fetcher.Bytes / 1e6:0} MB of weights from other devices, the last after ")
                + Text($"{fetcher.Seconds:0.000} s; ready after {ready.TotalSeconds:0.00} s"),
            Text($"  a step took {Median(before):0.00} ms; meanwhile {Median(meanwhile):0.00}, the longest of ")
                + Text($"{meanwhile.Count} {meanwhile.Max():0.0}; afterwards {Median(after):0.00}"),
            Text($"  all pages, {pageBytes / 1e6:0} MB, in {moved.TotalMilliseconds:0.0} ms; the first step in ")
                + Text($"{first.TotalMilliseconds:0.0} ms; {others} of {tokens.Length} tokens differ"),
        ];
        return (next, follower, string.Join('\n', lines));

        static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
    }

    private BenchWorkload Workload(InProcessReplica replica) =>
        new(replica, _options.Shape.Vocabulary, _options.Batch, _pagesEach);

    /// <returns>Milliseconds of each.</returns>
    private List<double> Steps(BenchWorkload workload, int count)
    {
        var took = new List<double>(count);
        for (var i = 0; i < count; i++)
        {
            var began = Stopwatch.GetTimestamp();
            workload.Decode(_options.Context + i);
            took.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }

        return took;
    }

    /// <param name="fetcher">Brings what other devices have; null where all is made.</param>
    private async Task<InProcessReplica> ReplicaAsync(Epoch epoch, (int Stages, int Ranks) layout, Fetcher? fetcher)
    {
        var layers = Layout.EvenStages(_options.Shape.Layers, 1, layout.Stages);
        var held = _engines.Select(each => each.Weights.Held).ToArray();
        var made = await Task.WhenAll(
            from stage in Enumerable.Range(0, layout.Stages)
            from rank in Enumerable.Range(0, layout.Ranks)
            let assignment = new StageAssignment(
                epoch, new Position(0, stage, rank), layers[stage], layout.Stages, layout.Ranks, _bounds.PageCount,
                _bounds.StepTokensMax, _bounds.SequencesMax)
            select Task.Run(() => EngineAsync(assignment, held, fetcher))).ConfigureAwait(false);
        return new InProcessReplica(
            assignment => made.Single(engine => engine.Assignment.Position == assignment.Position), layers,
            layout.Ranks, _bounds);
    }

    private async Task<TorchStageEngine> EngineAsync(
        StageAssignment assignment, ImmutableArray<WeightSlice>[] held, Fetcher? fetcher)
    {
        var own = DeviceOf(assignment);
        if (fetcher is null) return _engines[own].Load(assignment, null, default);
        var orders =
            from other in Enumerable.Range(0, _engines.Length)
            where other != own
            from wanted in _engines[own].Weights.Shape.Geometry.Need(assignment)
            from source in held[other]
            let layers = wanted.Layers.Intersect(source.Layers)
            let share = wanted.Share.Intersect(source.Share)
            where wanted.Group == source.Group && layers.Count > 0 && !share.IsEmpty
            select new WeightOrder(new WeightSlice(wanted.Group, layers, share), Fetcher.IdOf(other));
        return (TorchStageEngine)await _engines[own].PrepareAsync(
            new PreparationOrder(assignment, [.. orders], SharedPages: null)
            {
                Predecessor = new Epoch(assignment.Epoch.Value - 1),
            },
            fetcher, new Progress<LoadProgress>(), default).ConfigureAwait(false);
    }

    private int DeviceOf(StageAssignment assignment) =>
        ((assignment.Position.Stage * assignment.RankCount) + assignment.Position.Rank) % _engines.Length;

    /// <returns>Bytes.</returns>
    private long MovePages(InProcessReplica old, InProcessReplica next, Epoch epoch)
    {
        var spec = _options.Shape.Spec(_options.Type);
        ImmutableArray<int> pages = [.. Enumerable.Range(0, _bounds.PageCount)];
        var copies =
            from source in old.Engines
            from target in next.Engines
            let layers = source.Assignment.Layers.Intersect(target.Assignment.Layers)
            let heads = Common(Heads(spec, source), Heads(spec, target))
            where layers.Count > 0 && heads.Count > 0
            from part in pages.Chunk(PageRun.PagesMax)
            select (source, target, new PageRun(source.Assignment.Epoch, layers, heads, [.. part]));
        var bytes = 0L;
        Parallel.ForEach(copies, copy =>
        {
            var (source, target, run) = copy;
            using var read = _engines[DeviceOf(source.Assignment)].OpenPages(run)!;
            using var written = _engines[DeviceOf(target.Assignment)].OpenPages(run with { Epoch = epoch })!;
            BlockCopy.Run(read, written, default);
            Interlocked.Add(ref bytes, read.Bytes);
        });
        return bytes;
    }

    private static AxisRange Heads(ModelSpec spec, TorchStageEngine engine) =>
        TensorSlices.KvHeads(spec, engine.Assignment.Position.Rank, engine.Assignment.RankCount);

    private static AxisRange Common(AxisRange one, AxisRange other) =>
        new(Math.Max(one.First, other.First), Math.Min(one.End, other.End));

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    /// <summary>Copies from device to device of this process, as the data plane does.</summary>
    private sealed class Fetcher(TorchEngines[] engines) : ISliceFetcher
    {
        private readonly long _began = Stopwatch.GetTimestamp();
        private long _bytes;
        private long _ended;

        public long Bytes => _bytes;

        /// <summary>Until the last slice was there, with everything that the devices did to have room for it.</summary>
        public double Seconds => _ended == 0 ? 0 : Stopwatch.GetElapsedTime(_began, _ended).TotalSeconds;

        public static DeviceId IdOf(int index) => new("bench", index);

        public Task FetchAsync(SliceRequest request, ITransferBlock into, CancellationToken cancel)
        {
            using var from = engines[request.From.Index].Weights.Open(request.Weights!.Value)
                ?? throw new InvalidOperationException($"{request} is not held.");
            BlockCopy.Run(from, into, cancel);
            Interlocked.Add(ref _bytes, into.Bytes);
            lock (engines) _ended = Stopwatch.GetTimestamp();
            return Task.CompletedTask;
        }
    }
}
