using System.Collections.Immutable;
using SpotServe.Actors.Execution;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>What a run of hand-overs showed.</summary>
/// <param name="HandOvers">Replicas that took over.</param>
/// <param name="Steps">Steps that ran in all.</param>
/// <param name="Unequal">Steps whose logits had other bits than in an undisturbed run.</param>
internal readonly record struct HandOverResult(int HandOvers, int Steps, int Unequal);

/// <summary>
/// Hands sequences from replica to replica in one process while they decode: the next one's weights and pages come into
/// memory that the serving one's operations gave back a moment ago. The device is kept behind the host by work that
/// says nothing, so that whatever does not wait for the device is seen in the logits.
/// </summary>
/// <param name="device">Where both run; on the CPU nothing is behind anybody.</param>
internal sealed class HandOverTrace(Device device, ElementType type)
{
    private const int Sequences = 16;

    /// <summary>Positions of a sequence; after the last one all begin again.</summary>
    private const int Positions = 160;

    /// <summary>A product of this width takes the device longer than the host takes to queue a step.</summary>
    private const int DelayWidth = 4_096;

    private static readonly BenchShape Shape = new("hand-overs", 256, 4, 8, 8, 704, 2_048);

    private readonly StepPlan _plan = new();
    private readonly int _pagesEach = KvPage.Count(Positions);

    /// <param name="handOvers">How many replicas take over.</param>
    public HandOverResult Run(int handOvers)
    {
        // Two sets, as if each were a device's: what one loads never shares memory with what the other holds.
        TorchEngines[] sets = [NewSet(), NewSet()];
        using var scope = NewDisposeScope();
        var delay = device.type == DeviceType.CPU
            ? null : ones([DelayWidth, DelayWidth], ScalarType.Float32, device);
        try
        {
            var serving = Replica(sets[0], stages: 1);
            var expected = Enumerable.Range(0, Positions).Select(position => Step(serving, position, null)).ToArray();
            var (steps, unequal, position) = (0, 0, 0);
            for (var i = 1; i <= handOvers; i++)
            {
                var (set, stages) = (sets[i % 2], 1 + (i % 2));
                var preparing = new Preparation(() => Replica(set, stages));
                for (var least = 3; preparing.IsUnderWay || least > 0; least--) Decode();
                var next = preparing.Finish();
                MovePages(sets[(i + 1) % 2], serving, set, next);
                serving.Dispose();
                sets[(i + 1) % 2].Weights.Trim();
                serving = next;
                for (var after = 0; after < 3; after++) Decode();
            }

            serving.Dispose();
            return new HandOverResult(handOvers, steps, unequal);

            void Decode()
            {
                if (Step(serving, position, delay) != expected[position]) unequal++;
                steps++;
                position = (position + 1) % Positions;
            }
        }
        finally
        {
            foreach (var set in sets) set.Dispose();
        }
    }

    /// <summary>The next token of every sequence.</summary>
    /// <param name="delay">Multiplied first, to keep the device busy; null for nothing.</param>
    /// <returns>A hash of all logits.</returns>
    private ulong Step(InProcessReplica replica, int position, Tensor? delay)
    {
        _plan.Clear(position + 1);
        for (var i = 0; i < Sequences; i++)
        {
            var token = (int)((3 + (7919L * position) + (104_729L * (i + 1))) % Shape.Vocabulary);
            var pages = Enumerable.Range(i * _pagesEach, KvPage.Count(position + 1)).ToArray();
            _plan.Add(position, [token], pages, samples: true, SamplingParameters.Greedy);
        }

        var hash = 0UL;
        replica.Drawing.LogitsObserved = (_, logits) => hash = RepeatCheck.Hash(hash, logits.Span);
        using var slow = delay?.matmul(delay);
        replica.Step(_plan);
        return hash;
    }

    private void MovePages(
        TorchEngines from, InProcessReplica old, TorchEngines to, InProcessReplica next)
    {
        ImmutableArray<int> pages = [.. Enumerable.Range(0, Sequences * _pagesEach)];
        foreach (var source in old.Engines)
        {
            foreach (var target in next.Engines)
            {
                var layers = source.Assignment.Layers.Intersect(target.Assignment.Layers);
                if (layers.Count == 0) continue;
                var run = new PageRun(new Epoch(1), layers, new AxisRange(0, Shape.KvHeads), pages);
                using var read = from.OpenPages(run)!;
                using var written = to.OpenPages(run)!;
                var bytes = new byte[read.Bytes];
                read.Read(0, bytes);
                written.Write(0, bytes);
            }
        }
    }

    private InProcessReplica Replica(TorchEngines engines, int stages) => new(
        assignment => engines.Load(assignment, null, default), Layout.EvenStages(Shape.Layers, 1, stages), ranks: 1,
        new ReplicaBounds(Sequences * _pagesEach, Sequences, Sequences));

    private TorchEngines NewSet() => new(Shape.Spec(type), Shape.Config(), new MadeWeights(), device);

    /// <summary>The next replica, made on a thread of its own while this one decodes.</summary>
    private sealed class Preparation
    {
        private readonly Thread _thread;
        private InProcessReplica? _made;
        private Exception? _error;

        public Preparation(Func<InProcessReplica> make)
        {
            _thread = new Thread(() =>
            {
                try
                {
                    _made = make();
                }
                catch (Exception error)
                {
                    // The thread's edge: Finish tells it.
                    _error = error;
                }
            })
            { IsBackground = true, Name = "next replica" };
            _thread.Start();
        }

        public bool IsUnderWay => _thread.IsAlive;

        public InProcessReplica Finish()
        {
            _thread.Join();
            return _made ?? throw new InvalidOperationException("The next replica was not made.", _error);
        }
    }
}
