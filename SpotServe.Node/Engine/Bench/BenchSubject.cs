using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>A made model on a device, in the layout that was asked for, with sequences to run through it.</summary>
internal sealed class BenchSubject : IDisposable
{
    public const int WarmSteps = 3;

    private readonly TorchEngines _engines;

    private BenchSubject(TorchEngines engines, InProcessReplica replica, BenchWorkload workload, Device device)
    {
        _engines = engines;
        Replica = replica;
        Workload = workload;
        Device = device;
    }

    public InProcessReplica Replica { get; }

    public BenchWorkload Workload { get; }

    public Device Device { get; }

    /// <exception cref="ArgumentException">The layout does not fit the shape, or the context is too long.</exception>
    public static BenchSubject Make(BenchOptions options, Action<string> log)
    {
        var shape = options.Shape;
        var spec = shape.Spec(options.Type);
        var lengthMax = options.Context + options.DecodeSteps + WarmSteps + 1;
        Check(options, spec, lengthMax);

        var threadsEach = Math.Max(1, options.Threads / options.Ranks);
        var device = TorchDevices.Open(options.Device, options.TorchLib, threadsEach);
        log($"{TorchDevices.Describe(device, threadsEach)}: making {shape.Name} weights in {options.Type}");
        var pagesEach = Math.Max(KvPage.Count(lengthMax), KvPage.Count(options.PrefillTokens));
        var bounds = new ReplicaBounds(
            (pagesEach * options.Batch) + 1, Math.Max(options.PrefillTokens, options.Batch), options.Batch);
        var engines = new TorchEngines(
            spec, shape.Config(), new MadeWeights(), device, numerics: options.Numerics);
        try
        {
            var replica = new InProcessReplica(
                assignment => engines.Load(assignment, null, default, options.UsePlainOperations),
                Layout.EvenStages(spec.LayerCount, 1, options.Stages), options.Ranks, bounds);
            return new BenchSubject(
                engines, replica, new BenchWorkload(replica, shape.Vocabulary, options.Batch, pagesEach), device);
        }
        catch
        {
            engines.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Replica.Dispose();
        _engines.Dispose();
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
