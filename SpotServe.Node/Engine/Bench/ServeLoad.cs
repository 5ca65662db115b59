namespace SpotServe.Node.Engine.Bench;

/// <summary>What to serve.</summary>
/// <param name="PromptTokens">Of each request.</param>
/// <param name="OutputTokens">Of each request.</param>
/// <param name="RequestsPerSecond">Of Poisson arrivals; null is all at once.</param>
/// <param name="StepTokensMax">Tokens of a step at most.</param>
internal sealed record ServeLoad(
    int Requests, int PromptTokens, int OutputTokens, double? RequestsPerSecond, int StepTokensMax);

/// <summary>How a request fared.</summary>
/// <param name="FirstTokenMs">From its arrival to its first token.</param>
/// <param name="TokenMs">Mean time from one token to the next.</param>
internal readonly record struct Served(double FirstTokenMs, double TokenMs);

/// <summary>What serving a load took.</summary>
/// <param name="Steps">Engine steps.</param>
/// <param name="PlanningSeconds">Of the scheduler: planning steps, sending plans, taking results in. The device waits
/// meanwhile.</param>
/// <param name="AllocatedBytes">By all threads of the process.</param>
internal sealed record ServeRun(
    IReadOnlyList<Served> Served, double Seconds, long Steps, double PlanningSeconds, long AllocatedBytes);

/// <summary>The least time that a load can take on a device: all products at the rate of a large one, and the weights
/// and caches of decoding at the rate of a copy in its memory, one after the other.</summary>
internal static class ServeFloor
{
    /// <param name="teraflops">Rate of a large product, in 1e12 operations a second.</param>
    /// <param name="gigabytes">Rate of a copy in the device's memory, bytes read and written, in GB/s.</param>
    public static (double Products, double Memory) Seconds(
        BenchOptions options, ServeLoad load, double teraflops, double gigabytes)
    {
        var shape = options.Shape;
        var body = shape.WeightsRead - ((long)shape.Vocabulary * shape.Hidden);
        var products = 2.0 * body * load.PromptTokens * load.Requests / (teraflops * 1e12);
        // As many sequences as may decode together do so all the time, each with half of its output on average.
        var together = Math.Min(options.Batch, load.Requests);
        var steps = load.OutputTokens * Math.Ceiling(load.Requests / (double)together);
        var cached = (double)shape.KvBytes(options.Type) * together * (load.PromptTokens + (load.OutputTokens / 2.0));
        var memory = steps * ((shape.WeightsRead * (double)options.Type.Bytes()) + cached) / (gigabytes * 1e9);
        return (products, memory);
    }
}
