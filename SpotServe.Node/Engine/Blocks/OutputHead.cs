using SpotServe.Actors;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>What becomes of the product with the vocabulary.</summary>
/// <param name="Divisor">Logits are divided by it.</param>
/// <param name="SoftCap">Logits x become cap * tanh(x / cap); 0 for none.</param>
internal sealed record LogitOptions(double Divisor = 1, double SoftCap = 0)
{
    /// <summary>Whether logits stay as they are, so that a fused kernel can make them.</summary>
    public bool IsPlain => Divisor == 1 && SoftCap == 0;
}

/// <summary>
/// Final norm and the product with the vocabulary, cut over the vocabulary: rank 0 gathers the logits of the rows whose
/// next token is drawn, or scored.
/// </summary>
internal sealed class OutputHead
{
    /// <summary>Most rows whose logits are there at once while a prompt is scored.</summary>
    private const int ScoredAtOnceMax = 64;

    private readonly StageContext _stage;
    private readonly INormalization _norm;
    private readonly ColumnLinear _weight;
    private readonly LogitOptions _options;
    private readonly int _width;
    private readonly float[] _mine;
    private readonly float[] _all;
    private readonly float[] _row;

    public OutputHead(
        StageContext stage, INormalization norm, ColumnLinear weight, LogitOptions? options = null)
    {
        _stage = stage;
        _norm = norm;
        _weight = weight;
        _options = options ?? new LogitOptions();
        var vocabulary = stage.Model.VocabularySize;
        // Ranks exchange blocks of equal length: the widest share.
        _width = (vocabulary + stage.RankCount - 1) / stage.RankCount;
        var samples = stage.Assignment.SequencesMax;
        _mine = new float[samples * _width];
        _all = stage.Rank == 0 && stage.RankCount > 1 ? new float[samples * _width * stage.RankCount] : [];
        _row = stage.Rank == 0 ? new float[vocabulary] : [];
    }

    public bool IsPlain => _options.IsPlain;

    public INormalization Norm => _norm;

    public ColumnLinear Weight => _weight;

    /// <summary>Computes the logits of the step's sampled rows. On rank 0 each row's token is handed to
    /// <paramref name="drawn"/> where the device can draw it, else its logits to <paramref name="use"/>.</summary>
    /// <param name="drawsOnHost">Whether a row's logits are wanted in any case.</param>
    public void Apply(
        Tensor residual, Func<int, bool> drawsOnHost, Action<int, int> drawn, Action<int, float[]> use)
    {
        var samples = _stage.Batch.SampleCount;
        if (samples == 0) return;
        var onDevice = Logits(residual, _stage.Batch.SampleRows);
        if (_stage is { RankCount: 1, Chunks: { } chunks })
        {
            Draw(onDevice, chunks.Draw(onDevice), drawsOnHost, drawn, use);
            return;
        }

        Read(onDevice, samples, use);
    }

    /// <summary>Computes the logits of the step's scored rows, a few at a time, and on rank 0 hands each row's to
    /// <paramref name="use"/>.</summary>
    public void Score(Tensor residual, Action<int, float[]> use)
    {
        var scored = _stage.Batch.ScoredRows;
        var count = (int)scored.shape[0];
        var atOnce = Math.Min(ScoredAtOnceMax, _stage.Assignment.SequencesMax);
        for (var begin = 0; begin < count; begin += atOnce)
        {
            using var scope = NewDisposeScope();
            var first = begin;
            var rows = Math.Min(atOnce, count - first);
            Read(Logits(residual, scored.narrow(0, first, rows)), rows, (row, logits) => use(first + row, logits));
        }
    }

    /// <summary>This rank's share of the logits of some rows.</summary>
    private Tensor Logits(Tensor residual, Tensor rows)
    {
        var normed = _norm.Apply(residual.index_select(0, rows));
        return Scaled(_stage.MultiplyWide(_weight, normed)).contiguous();
    }

    /// <summary>Brings logits to the host, and all ranks' together on rank 0.</summary>
    private void Read(Tensor onDevice, int samples, Action<int, float[]> use)
    {
        var logits = onDevice.cpu();
        CopyRows(TensorMemory.Floats(logits), samples);
        var block = _mine.AsSpan(0, samples * _width);
        if (_stage.RankCount == 1)
        {
            for (var sample = 0; sample < samples; sample++)
            {
                block.Slice(sample * _width, _width).CopyTo(_row);
                use(sample, _row);
            }

            return;
        }

        Invariant.Holds(_stage.Collective is not null);
        var all = _all.AsSpan(0, _stage.Rank == 0 ? block.Length * _stage.RankCount : 0);
        _stage.Collective.GatherToFirst(block, all);
        if (_stage.Rank != 0) return;
        for (var sample = 0; sample < samples; sample++)
        {
            Assemble(all, sample, block.Length);
            use(sample, _row);
        }
    }

    private void Draw(
        Tensor logits, ReadOnlySpan<int> tokens, Func<int, bool> drawsOnHost, Action<int, int> drawn,
        Action<int, float[]> use)
    {
        for (var sample = 0; sample < tokens.Length; sample++)
        {
            if (tokens[sample] >= 0 && !drawsOnHost(sample))
            {
                drawn(sample, tokens[sample]);
                continue;
            }

            using var row = logits[sample].cpu();
            TensorMemory.Floats(row).CopyTo(_row);
            use(sample, _row);
        }
    }

    private Tensor Scaled(Tensor logits)
    {
        if (_options.Divisor != 1) logits.div_(_options.Divisor);
        return _options.SoftCap == 0 ? logits : logits.div_(_options.SoftCap).tanh_().mul_(_options.SoftCap);
    }

    private void CopyRows(ReadOnlySpan<float> logits, int samples)
    {
        var held = logits.Length / samples;
        for (var sample = 0; sample < samples; sample++)
        {
            var row = _mine.AsSpan(sample * _width, _width);
            logits.Slice(sample * held, held).CopyTo(row);
            row[held..].Clear();
        }
    }

    private void Assemble(ReadOnlySpan<float> all, int sample, int blockLength)
    {
        for (var rank = 0; rank < _stage.RankCount; rank++)
        {
            var range = TensorSlices.Even(_row.Length, rank, _stage.RankCount);
            all.Slice((rank * blockLength) + (sample * _width), (int)range.Count)
                .CopyTo(_row.AsSpan((int)range.First));
        }
    }
}
