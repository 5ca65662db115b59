using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Node.Engine.Bench;

/// <summary>What to serve.</summary>
/// <param name="PromptTokens">Of each request.</param>
/// <param name="OutputTokens">Of each request.</param>
/// <param name="RequestsPerSecond">Of Poisson arrivals; null is all at once.</param>
internal sealed record ServeLoad(int Requests, int PromptTokens, int OutputTokens, double? RequestsPerSecond);

/// <summary>
/// Serves made requests on one device through all that stands between a request and its tokens but actors and HTTP: the
/// scheduler, plans over the data plane, the engine's thread, and results back.
/// </summary>
internal static class ServeBench
{
    private const int StepTokensMax = 512;

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
        using var engines = new TorchEngines(spec, shape.Config(), new MadeWeights(), device);
        var layers = Layout.EvenStages(spec.LayerCount, 1, 1);
        var assignment = new StageAssignment(
            new Epoch(1), new Position(0, 0, 0), layers[0], 1, 1,
            (KvPage.Count(length) + 1) * Math.Min(options.Batch, load.Requests), StepTokensMax, options.Batch);
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
        server.Run(load with { Requests = 2, RequestsPerSecond = null });
        var clock = Stopwatch.StartNew();
        var served = server.Run(load);
        return Table(options, load, engine.Path, served, clock.Elapsed.TotalSeconds);
    }

    private static string Table(
        BenchOptions options, ServeLoad load, string path, IReadOnlyList<Served> served, double seconds)
    {
        var first = served.Select(one => one.FirstTokenMs).Order().ToArray();
        var each = served.Select(one => one.TokenMs).Order().ToArray();
        var arrivals = load.RequestsPerSecond is { } rate ? $"{Format(rate)} a second, Poisson" : "all at once";
        (string What, string Value)[] rows =
        [
            ("model", $"{options.Shape.Name} {options.Type}, at most {options.Batch} sequences, on {path}"),
            ("requests", $"{load.Requests}, {load.PromptTokens} in and {load.OutputTokens} out, {arrivals}"),
            ("all served after", $"{Format(seconds)} s"),
            ("tokens generated", $"{Format(load.Requests * (double)load.OutputTokens / seconds)} a second"),
            ("first token after", $"{Percentiles(first)} ms"),
            ("each further token after", $"{Percentiles(each)} ms"),
        ];
        return string.Join('\n', rows.Select(row => $"{row.What,-26}{row.Value}"));
    }

    private static string Percentiles(double[] sorted)
    {
        return $"{At(0.5)} (median), {At(0.9)} (90 %), {At(0.99)} (99 %)";

        string At(double share) => Format(sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))]);
    }

    private static string Format(double value) =>
        Math.Round(value, value >= 100 ? 0 : 2).ToString(CultureInfo.InvariantCulture);
}
