using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>A made model on a device, in the layout that was asked for, with sequences to run through it.</summary>
internal sealed class BenchSubject : IDisposable
{
    public const int WarmSteps = 3;

    private readonly IReadOnlyList<TorchEngines> _engines;

    private BenchSubject(
        IReadOnlyList<TorchEngines> engines, InProcessReplica replica, BenchWorkload workload,
        IReadOnlyList<Device> devices)
    {
        _engines = engines;
        Replica = replica;
        Workload = workload;
        Devices = devices;
    }

    public InProcessReplica Replica { get; }

    public BenchWorkload Workload { get; }

    /// <summary>What the ranks of a stage are spread over.</summary>
    public IReadOnlyList<Device> Devices { get; }

    public Device Device => Devices[0];

    /// <exception cref="ArgumentException">The layout does not fit the shape, or the context is too long.</exception>
    public static BenchSubject Make(BenchOptions options, Action<string> log)
    {
        var shape = options.Shape;
        var spec = shape.Spec(options.Type);
        var lengthMax = options.Context + options.DecodeSteps + WarmSteps + 1;
        Check(options, spec, lengthMax);

        var threadsEach = Math.Max(1, options.Threads / options.Ranks);
        var devices = BenchDevices.Open(options.Device, options.Devices, options.TorchLib, threadsEach, log);
        var device = devices[0];
        log($"{TorchDevices.Describe(device, threadsEach)}: making {shape.Name} weights in {options.Type}");
        var pagesEach = Math.Max(KvPage.Count(lengthMax), KvPage.Count(options.PrefillTokens));
        var bounds = new ReplicaBounds(
            (pagesEach * options.Batch) + 1, Math.Max(options.PrefillTokens, options.Batch), options.Batch);
        TorchEngines[] engines = [.. devices.Select(each => new TorchEngines(
            spec, shape.Config(), new MadeWeights(), each, numerics: options.Numerics, tell: log))];
        try
        {
            var replica = new InProcessReplica(
                assignment => engines[assignment.Position.Rank % engines.Length].Load(
                    assignment, null, default, options.UsePlainOperations),
                Layout.EvenStages(spec.LayerCount, 1, options.Stages), options.Ranks, bounds);
            return new BenchSubject(
                engines, replica, new BenchWorkload(replica, shape.Vocabulary, options.Batch, pagesEach), devices);
        }
        catch
        {
            foreach (var each in engines) each.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Replica.Dispose();
        foreach (var each in _engines) each.Dispose();
    }

    private static void Check(BenchOptions options, ModelSpec spec, int lengthMax)
    {
        if (options.Stages > spec.LayerCount || options.Stages < 1)
            throw new ArgumentException($"{options.Stages} stages do not fit {spec.LayerCount} layers.");
        if (options.Ranks < 1 || spec.HeadCount % options.Ranks != 0)
            throw new ArgumentException($"{options.Ranks} ranks do not divide {spec.HeadCount} heads.");
        var longest = Math.Max(lengthMax, options.PrefillTokens);
        if (longest > spec.ContextMax)
        {
            throw new ArgumentException(
                $"Context and steps, or the prompt, come to {longest} tokens; the shape's limit is "
                + $"{spec.ContextMax}.");
        }
    }
}
