using System.Runtime.InteropServices;
using SpotServe.Actors;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Engine.Cuda;
using SpotServe.Node.Engine.Families;
using SpotServe.Node.Lifetime;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>
/// A stage on libtorch, on the CPU or a GPU; on a GPU that our kernels know, they decode and libtorch does the rest.
/// Hidden states pass between stages as float32. Every step runs in inference mode and in a dispose scope of its own.
/// </summary>
internal sealed class TorchStageEngine : IStageEngine
{
    private readonly StageContext _stage;
    private readonly WeightSet _weights;
    private readonly Rotary? _rotary;
    private readonly Func<Tensor>? _front;
    private readonly ILayer[] _layers;
    private readonly OutputHead? _back;
    private readonly Tensor _input;
    private readonly Tensor _output;
    private readonly StepDivision _division = new();
    private readonly HostSampler _sampler = new();
    private readonly Numerics _numerics;
    private readonly Action<string>? _tell;
    private StartTimeline? _timeline;
    private readonly CudaStream? _stream;
    private readonly CudaDecoder? _decoder;
    private bool _hasMet;
    private bool _disposed;

    /// <param name="weights">All that the assignment needs. Weights and pages are the engine's from now on: it
    /// disposes of them, also when it cannot be made.</param>
    /// <exception cref="EngineLostException">The device has too little memory or failed.</exception>
    public TorchStageEngine(ModelSpec model, ModelConfig config, StageAssignment assignment, WeightSet weights,
        EnginePages pages, Device device, EngineOptions options)
    {
        Assignment = assignment;
        _numerics = options.Numerics;
        _timeline = options.Timeline;
        _tell = options.Tell;
        _hasMet = assignment.RankCount == 1 || device.type == TorchSharp.DeviceType.CPU;
        var usePlainOperations = options.UsePlainOperations;
        using var inference = inference_mode();
        using var scope = NewDisposeScope();
        _weights = weights;
        _stage = new StageContext(model, assignment, device, pages, usePlainOperations);
        _layers = new ILayer[assignment.Layers.Count];
        try
        {
            var family = ModelFamily.For(config);
            var rotaryWidth = family.RotaryWidth(config);
            _rotary = rotaryWidth > 0 ? new Rotary(_stage, config, rotaryWidth) : null;
            var parts = new StageParts(_stage, config, new StageWeights(weights, assignment), _rotary);
            _front = assignment.IsFirst ? family.Front(parts) : null;
            for (var i = 0; i < _layers.Length; i++) _layers[i] = family.Layer(parts, assignment.Layers.First + i);
            _back = assignment.IsLast ? family.Back(parts) : null;
            _input = StagingBuffer(model.HiddenSize);
            _output = StagingBuffer(model.HiddenSize);
            Path = usePlainOperations || _stage.OnCpu ? "libtorch" : PrepareKernels(out _stream, out _decoder);
            if (!_stage.OnCpu) Path += $"; {PromiseOfBits()}";
        }
        catch (ExternalException error)
        {
            Dispose();
            throw new EngineLostException($"Loading {assignment.Position} on {device} failed: {error.Message}", error);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public StageAssignment Assignment { get; }

    public int ActivationBytesPerToken => _stage.Model.HiddenSize * sizeof(float);

    /// <summary>The blocks that the engine uses.</summary>
    internal WeightSet Weights => _weights;

    /// <summary>Bytes of the weights that the engine holds.</summary>
    public long WeightBytes => _weights.Bytes;

    public string Path { get; }

    /// <summary>What the engine's work is queued on; null where libtorch's own stream is.</summary>
    internal CudaStream? Stream => _stream;

    /// <summary>Time that steps so far waited for the device's work to end, where it runs our kernels.</summary>
    internal double WaitedSeconds => _stream?.WaitedSeconds ?? 0;

    /// <summary>Called with each sampled row's index in the step and its logits; for tests.</summary>
    internal Action<int, ReadOnlyMemory<float>>? LogitsObserved { get; set; }

    public Span<byte> Input(int tokens) => HostBytes(_input, tokens);

    public ReadOnlySpan<byte> Output(int tokens) => HostBytes(_output, tokens);

    public void Step(StepPlan plan, ICollective collective, StepDraws draws)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Invariant.Holds(collective.RankCount == Assignment.RankCount);
        Invariant.Holds(collective.Rank == Assignment.Position.Rank);
        _timeline?.Reached("links and the first plan");
        try
        {
            using var inference = inference_mode();
            using var scope = NewDisposeScope();
            using var stream = _stream is null ? default : TorchStream.Use(_stream, _stage.Device.index);
            if (_stream is not null) CudaDriver.UseContext(_stage.Device.index);
            StepBounds.Check(plan, Assignment, _stage.Model);
            _stage.Collective = collective;
            if (!_hasMet) Meet(collective);
            _stage.Peers?.BeginStep(plan.StepId);
            Run(plan, draws);
            AwaitDevice();
            _stage.Peers?.ThrowIfGivenUp(collective);
            _timeline?.End("first step");
        }
        // On a GPU every later call may fail, too. On the CPU an operation that was refused leaves nothing behind, so
        // it is the step's own failure, unless memory is short.
        catch (ExternalException error) when (!_stage.OnCpu || IsShortOfMemory(error))
        {
            throw new EngineLostException(
                $"Step {plan.StepId} failed on {_stage.Device}: {error.Message}", error);
        }
        finally
        {
            _stage.Collective = null;
            _timeline = null;
        }
    }

    /// <summary>The ranks of the stage meet, so that GPUs of one process sum by themselves.</summary>
    private void Meet(ICollective collective)
    {
        string how;
        if (_decoder is null) _ = PeerLinks.Join(collective, PeerEnd.None, null, null, out how);
        else _stage.Peers = _decoder.Meet(collective, out how);
        _hasMet = true;
        var position = Assignment.Position;
        if (position.Rank == 0)
        {
            _tell?.Invoke(
                $"the {Assignment.RankCount} ranks of stage {position.Stage} of replica {position.Replica} sum {how}");
        }
    }

    /// <summary>Waits for all that a step or the engine's making started on the device. Pages are copied to other
    /// devices as soon as a step ended, by streams that wait for nothing, and a step that draws no token fetches
    /// nothing that would have been waited for.</summary>
    private void AwaitDevice()
    {
        if (_stage.OnCpu) return;
        var device = _stage.Device.index;
        CudaDriver.UseContext(device);
        if (_stream is not null) _stream.Synchronize();
        else CudaDriver.SynchronizeDefaultStream(device);
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        // A step that was given up may have left work that uses what is freed here, and that others get next.
        var isIdle = TryAwaitDevice();
        _decoder?.Dispose();
        if (_stream is not null && isIdle) StreamPool.Give(_stage.Device.index, _stream);
        else _stream?.Dispose();
        foreach (var layer in _layers) layer?.Dispose();
        _rotary?.Dispose();
        _input?.Dispose();
        _output?.Dispose();
        _stage.Dispose();
        _weights.Dispose();
    }

    /// <returns>False where the device failed: nothing more can be waited for there.</returns>
    private bool TryAwaitDevice()
    {
        try
        {
            AwaitDevice();
            return true;
        }
        catch (EngineLostException)
        {
            return false;
        }
    }

    private void Run(StepPlan plan, StepDraws draws)
    {
        Invariant.Holds(draws.Count == plan.SampleCount);
        var faults = new List<ChunkFault>();
        if (_decoder is null)
        {
            RunPlain(plan, firstRow: 0, new Drawing(plan, draws, faults));
        }
        else
        {
            _division.Divide(plan, _decoder, together: _stage.PromptProducts is not null);
            if (SharesProducts()) RunPlain(plan, firstRow: 0, new Drawing(plan, draws, faults));
            else RunApart(plan, draws, faults);
        }

        if (faults.Count == 0) return;
        // Numbers that were not waited for are no sequence's fault.
        _stage.Peers?.ThrowIfGivenUp(_stage.Collective!);
        throw new StepFailedException(new StepFailure(faults[0].Reason, [.. faults]));
    }

    /// <summary>Whether all of the divided step goes through one set of products: faster for more tokens than one
    /// reading of the weights serves in a decode pass.</summary>
    private bool SharesProducts() => _numerics == Numerics.Fast
        && (_division.Prompts.Count > 0 || _division.Columns.Length > DecodeBuffers.TokensMax);

    /// <summary>Runs the divided step so that nothing in it changes a bit of anything else.</summary>
    private void RunApart(StepPlan plan, StepDraws draws, List<ChunkFault> faults)
    {
        if (_division.Columns.Length > 0) Decode(plan, draws, faults);
        foreach (var (own, firstRow, firstSample, firstScore) in _division.Prompts)
        {
            using var scope = NewDisposeScope();
            RunPlain(own, firstRow, new Drawing(plan, draws, faults, firstSample, firstScore));
        }
    }

    private unsafe void Decode(StepPlan plan, StepDraws draws, List<ChunkFault> faults)
    {
        _decoder!.BringsLogits = LogitsObserved is not null;
        _decoder.Run(
            plan, _division.Columns, (float*)TensorMemory.Pointer(_input), (float*)TensorMemory.Pointer(_output),
            (sample, token) => draws.Set(sample, token),
            (sample, logits) => Draw(plan, sample, logits, draws, faults));
    }

    /// <summary>Runs a plan with libtorch.</summary>
    /// <param name="firstRow">Row of the staging buffers where its tokens begin.</param>
    /// <param name="drawing">Takes what is drawn in.</param>
    private void RunPlain(StepPlan plan, int firstRow, in Drawing drawing)
    {
        var (whole, draws, faults, firstSample, firstScore) = drawing;
        var batch = _stage.Batch;
        batch.Prepare(plan);
        _stage.Chunks?.Prepare(plan);
        var residual = _front is not null ? _front() : Received(firstRow, batch.TokenCount);
        foreach (var layer in _layers)
        {
            using var scope = NewDisposeScope();
            layer.AddTo(residual);
        }

        if (_back is not null)
        {
            _back.Score(residual, (index, logits) => Score(whole, firstScore + index, logits, draws, faults));
            _back.Apply(
                residual,
                sample => LogitsObserved is not null || !KernelSampling.Knows(ChunkOf(whole, firstSample + sample)),
                (sample, token) => draws.Set(firstSample + sample, token),
                (sample, logits) => Draw(whole, firstSample + sample, logits, draws, faults));
        }
        else
        {
            _output.narrow(0, firstRow, batch.TokenCount).copy_(residual);
        }
    }

    /// <summary>The previous stage's hidden states, on the device; the layers may change them.</summary>
    private Tensor Received(int firstRow, int tokens)
    {
        var host = _input.narrow(0, firstRow, tokens);
        return _stage.OnCpu ? host : host.to(_stage.Device);
    }

    /// <returns>What runs a decode step, in words.</returns>
    private string PrepareKernels(out CudaStream? stream, out CudaDecoder? decoder)
    {
        (stream, decoder) = (null, null);
        var device = _stage.Device.index;
        if (CudaDriver.Capability(device) < CudaDecoder.CapabilityMin) return "libtorch: the GPU is older than Hopper";
        if (!TorchStream.IsSupported) return "libtorch: it cannot be told which stream to use";
        var model = DecodeModel.Of(_stage, _front, _layers, _back, _rotary, out var why);
        if (model is null) return $"libtorch: {why}";
        try
        {
            stream = StreamPool.Take(device);
            decoder = new CudaDecoder(_stage, model, stream, _numerics == Numerics.Invariant);
            _stage.Chunks = decoder.Chunks;
            _stage.PromptProducts = decoder.Products;
            // Pages and weights were filled on libtorch's stream.
            CudaDriver.SynchronizeDefaultStream(device);
            return "CUDA kernels";
        }
        catch (KernelsUnavailableException error)
        {
            StreamPool.Give(device, stream!);
            stream = null;
            return $"libtorch: {error.Message}";
        }
    }

    /// <summary>What can be said of the bits of what runs on a GPU, in words.</summary>
    private string PromiseOfBits() => (_decoder, _numerics) switch
    {
        (null, _) => "bits depend on batch and layout",
        (_, Numerics.Fast) =>
            $"fast: with prompts or over {DecodeBuffers.TokensMax} sequences in a step, bits depend on what it holds",
        _ when _stage.PromptProducts is null =>
            "invariant: the same bits in every batch, prompts on this M and decoding in every layout",
        _ => "invariant: the same bits in every batch, chunking and layout",
    };

    private static ref readonly SequenceChunk ChunkOf(StepPlan plan, int sample) =>
        ref plan.Chunks[plan.ChunkOfSample(sample)];

    /// <param name="sample">Index of the drawn token among the step's.</param>
    /// <param name="faults">Sequences whose logits are no numbers; the others' tokens are drawn all the same.</param>
    private void Draw(StepPlan plan, int sample, float[] logits, StepDraws draws, List<ChunkFault> faults)
    {
        LogitsObserved?.Invoke(sample, logits);
        if (faults.Exists(fault => fault.Chunk == plan.ChunkOfSample(sample))) return;
        try
        {
            _sampler.Draw(plan, sample, logits, draws);
        }
        catch (ArithmeticException error)
        {
            faults.Add(new ChunkFault(plan.ChunkOfSample(sample), error.Message.TrimEnd('.')));
        }
    }

    /// <param name="index">Among the step's scored rows.</param>
    private static void Score(StepPlan plan, int index, float[] logits, StepDraws draws, List<ChunkFault> faults)
    {
        var row = plan.ScoredRows[index];
        if (faults.Exists(fault => fault.Chunk == row.Chunk)) return;
        try
        {
            draws.SetScore(index, HostSampler.Score(logits, row));
        }
        catch (ArithmeticException error)
        {
            faults.Add(new ChunkFault(row.Chunk, error.Message.TrimEnd('.')));
        }
    }

    private static bool IsShortOfMemory(ExternalException error) =>
        error.Message.Contains("allocate memory", StringComparison.OrdinalIgnoreCase)
        || error.Message.Contains("out of memory", StringComparison.OrdinalIgnoreCase);

    private Tensor StagingBuffer(int hidden)
    {
        var buffer = zeros([Assignment.StepTokensMax, hidden], ScalarType.Float32);
        return (_stage.OnCpu ? buffer : buffer.pin_memory()).DetachFromDisposeScope();
    }

    private Span<byte> HostBytes(Tensor buffer, int tokens)
    {
        Invariant.Holds(tokens >= 0 && tokens <= Assignment.StepTokensMax);
        return TensorMemory.Span<byte>(buffer, tokens * ActivationBytesPerToken);
    }

    /// <exception cref="ArgumentException">The model has no such layers, or the ranks do not divide its
    /// heads.</exception>
    public static void Check(ModelSpec model, StageAssignment assignment)
    {
        var layers = assignment.Layers;
        if (layers.First < 0 || layers.End > model.LayerCount || layers.Count < 1)
            throw new ArgumentException($"Layers {layers} are not within the model's {model.LayerCount}.");
        if (assignment.RankCount < 1 || model.HeadCount % assignment.RankCount != 0)
        {
            throw new ArgumentException(
                $"{assignment.RankCount} tensor ranks do not divide the model's {model.HeadCount} heads.");
        }
    }

    /// <summary>Where the drawn tokens of a plan go, which may be a part of a step.</summary>
    /// <param name="Whole">The step.</param>
    /// <param name="Draws">The whole step's.</param>
    /// <param name="FirstSample">Index in the step of the plan's first drawn token.</param>
    /// <param name="FirstScore">Index in the step of the plan's first scored row.</param>
    private readonly record struct Drawing(
        StepPlan Whole, StepDraws Draws, List<ChunkFault> Faults, int FirstSample = 0, int FirstScore = 0);
}
