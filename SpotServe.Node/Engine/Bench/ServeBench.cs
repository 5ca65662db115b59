using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine.Bench;

/// <summary>
/// Serves made requests on one device through all that stands between a request and its tokens but actors and HTTP: the
/// scheduler, plans over the data plane, the engine's thread, and results back.
/// </summary>
internal static class ServeBench
{
    /// <returns>The figures as text.</returns>
    /// <exception cref="ArgumentException">The requests do not fit the shape.</exception>
    public static async Task<string> RunAsync(
        BenchOptions options, ServeLoad load, Action<string> log, CancellationToken cancel)
    {
        var (shape, length) = (options.Shape, load.PromptTokens + load.OutputTokens);
        var spec = shape.Spec(options.Type);
        if (length > spec.ContextMax)
            throw new ArgumentException($"A request has {length} tokens; the shape's limit is {spec.ContextMax}.");
        var device = TorchDevices.Open(options.Device, options.TorchLib, options.Threads);
        log($"{TorchDevices.Describe(device, options.Threads)}: making {shape.Name} weights in {options.Type}");
        using var engines = new TorchEngines(
            spec, shape.Config(), new MadeWeights(), device, numerics: options.Numerics);
        var layers = Layout.EvenStages(spec.LayerCount, 1, 1);
        var assignment = new StageAssignment(
            new Epoch(1), new Position(0, 0, 0), layers[0], 1, 1,
            (KvPage.Count(length) + 1) * Math.Min(options.Batch, load.Requests),
            Math.Max(load.StepTokensMax, options.Batch), options.Batch);
        using var engine = engines.Load(assignment, null, cancel, options.UsePlainOperations);

        var layout = new Layout(new LayoutDegrees(1, 1, 1, options.Batch), layers, [new DeviceId("bench", 0)]);
        using var node = new DataPlaneNode(
            new DataPlaneOptions
            {
                Secret = new ClusterSecret("made for a bench"),
                Listen = new IPEndPoint(IPAddress.Loopback, 0),
            },
            TimeProvider.System);
        using var links = await node.ConnectAsync(
            layout, assignment.Epoch, assignment.Position, ImmutableDictionary<DeviceId, IPEndPoint>.Empty,
            TimeSpan.FromSeconds(5), cancel).ConfigureAwait(false);
        var planLimits = StepPlanLimits.Of(assignment, spec);
        using var pipeline = new StepPipeline(links.Leader!, planLimits);
        using var runner = new StageRunner(engine, links, planLimits, error => log($"bench: {error.Message}"));
        runner.Start();

        var server = new Server(pipeline, assignment, spec, load);
        var gigabytes = MemoryProbe.ReadGigabytesPerSecond(device, options.Threads);
        var floor = MatrixProbe.TeraflopsPerSecond(device, options.Type) is { } teraflops
            ? ServeFloor.Seconds(options, load, teraflops, gigabytes) : ((double Products, double Memory)?)null;
        server.Run(load with { Requests = Math.Min(load.Requests, options.Batch + 1), RequestsPerSecond = null });
        var waited = engine.WaitedSeconds;
        var run = server.Run(load);
        return Table(options, load, engine.Path, run, engine.WaitedSeconds - waited, floor);
    }

    private static string Table(
        BenchOptions options, ServeLoad load, string path, ServeRun run, double waited,
        (double Products, double Memory)? floor)
    {
        var seconds = run.Seconds;
        var first = run.Served.Select(one => one.FirstTokenMs).Order().ToArray();
        var each = run.Served.Select(one => one.TokenMs).Order().ToArray();
        var arrivals = load.RequestsPerSecond is { } rate ? $"{Format(rate)} a second, Poisson" : "all at once";
        (string What, string Value)[] rows =
        [
            ("model", $"{options.Shape.Name} {options.Type}, at most {options.Batch} sequences, on {path}"),
            ("requests", $"{load.Requests}, {load.PromptTokens} in and {load.OutputTokens} out, {arrivals}"),
            ("all served after", $"{Format(seconds)} s"),
            ("tokens generated", $"{Format(load.Requests * (double)load.OutputTokens / seconds)} a second"),
            ("first token after", $"{Percentiles(first)} ms"),
            ("each further token after", $"{Percentiles(each)} ms"),
            ("steps", $"{run.Steps}, {Format(seconds / run.Steps * 1e3)} ms each, idle times included"),
            ("planning and results", $"{Format(run.PlanningSeconds / run.Steps * 1e3)} ms a step"),
            ("engine waited for device", $"{Format(waited / run.Steps * 1e3)} ms a step"),
            ("allocated", $"{Format(run.AllocatedBytes / (double)run.Steps / 1e3)} kB a step"),
            ("roofline", Floor(floor, seconds)),
        ];
        return string.Join('\n', rows.Select(row => $"{row.What,-26}{row.Value}"));
    }

    private static string Floor((double Products, double Memory)? floor, double seconds)
    {
        if (floor is not { } known) return "not measured on the CPU";
        var sum = known.Products + known.Memory;
        return $"{Format(sum)} s ({Format(known.Products)} products, {Format(known.Memory)} memory): "
            + $"served in {Format(seconds / sum)} times it";
    }

    private static string Percentiles(double[] sorted)
    {
        return $"{At(0.5)} (median), {At(0.9)} (90 %), {At(0.99)} (99 %)";

        string At(double share) => Format(sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))]);
    }

    private static string Format(double value) =>
        Math.Round(value, value >= 100 ? 0 : 2).ToString(CultureInfo.InvariantCulture);
}
