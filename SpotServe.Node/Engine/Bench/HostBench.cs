using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Scheduling;

namespace SpotServe.Node.Engine.Bench;

/// <summary>What the host does between two steps of a decoding batch, without any engine: planning, writing and reading
/// the plan, taking tokens in. Time and allocations apart for each.</summary>
internal static class HostBench
{
    private const int Steps = 400;
    private const int WarmSteps = 100;

    /// <returns>The figures as text.</returns>
    public static string Run(int batch, int context, int vocabulary)
    {
        // The first to decode do so while the others' prompts are still computed.
        var contextMax = context + WarmSteps + Steps + batch + 2;
        var pages = (KvPage.Count(contextMax) + 1) * batch;
        var scheduler = new ReplicaScheduler(new SchedulerLimits
        {
            StepTokensMax = Math.Max(2048, batch),
            PrefillChunkTokensMax = 1536,
            SequencesMax = batch,
            QueuedRequestsMax = batch,
            PageCount = pages,
            StepsInFlightMax = 1,
            ContextMax = contextMax,
        });
        for (var i = 0; i < batch; i++)
        {
            var parameters = new GenerationParameters(contextMax - context, SamplingParameters.Greedy, []);
            scheduler.Submit(new GenerationRequest(
                new RequestId($"made-{i}"), new GenerationSpec([.. Enumerable.Repeat(5, context)], parameters), []));
        }

        var limits = new StepPlanLimits(Math.Max(2048, batch), batch, pages, contextMax, vocabulary);
        var (plan, decoded, bytes) = (new StepPlan(), new StepPlan(), new byte[1 << 20]);
        Measure planning = new(), coding = new(), taking = new();
        for (var step = 0; step < WarmSteps + Steps;)
        {
            var isPlanned = planning.Of(() => scheduler.TryPlan(plan));
            if (!isPlanned) throw new InvalidOperationException("The scheduler planned no step.");
            coding.Of(() =>
            {
                var length = StepPlanCodec.EncodedBytes(plan);
                if (length > bytes.Length) bytes = new byte[2 * length];
                StepPlanCodec.Encode(plan, bytes.AsSpan(0, length));
                return StepPlanCodec.Decode(bytes.AsSpan(0, length), limits, decoded) is null;
            });
            var tokens = ImmutableArray.CreateRange(Enumerable.Repeat(7, plan.SampleCount));
            taking.Of(() => scheduler.Complete(new StepResult(plan.StepId, tokens)).Length > 0);
            // Prompts come first; what is measured begins when all decode.
            if (plan.SampleCount == batch && plan.TokenCount == batch && ++step == WarmSteps)
                (planning, coding, taking) = (new(), new(), new());
        }

        (string What, string Value)[] rows =
        [
            ("batch", $"{batch} sequences at context {context}, {Steps} steps"),
            ("planning", planning.ToString()),
            ("plan to bytes and back", coding.ToString()),
            ("taking tokens in", taking.ToString()),
        ];
        return string.Join('\n', rows.Select(row => $"{row.What,-26}{row.Value}"));
    }

    /// <summary>Time and allocations of one part of all steps.</summary>
    private sealed class Measure
    {
        private readonly Stopwatch _clock = new();
        private long _bytes;
        private int _count;

        public bool Of(Func<bool> part)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            _clock.Start();
            var answer = part();
            _clock.Stop();
            _bytes += GC.GetAllocatedBytesForCurrentThread() - before;
            _count++;
            return answer;
        }

        public override string ToString() => string.Create(
            CultureInfo.InvariantCulture,
            $"{_clock.Elapsed.TotalMicroseconds / Math.Max(1, _count):0.0} us, "
            + $"{_bytes / Math.Max(1, _count)} bytes a step");
    }
}
