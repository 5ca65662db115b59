using SpotServe.Actors.Execution;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// Brings back what a pass drew. With one rank only token ids leave the device, except for rows that are observed, too
/// flat to be sorted there, or drawn in a way that the device does not know; with several, rank 0 puts the ranks'
/// logits together.
/// </summary>
internal sealed unsafe class DecodeOutput : IDisposable
{
    private readonly StageContext _stage;
    private readonly DecodeBuffers _buffers;
    private readonly CudaStream _stream;
    private readonly int _width;
    private readonly int _widest;
    private readonly Tensor _drawn;
    private readonly Tensor _logits;
    private readonly float[] _all;
    private readonly float[] _row;

    /// <param name="width">Tokens of the vocabulary on this rank.</param>
    public DecodeOutput(StageContext stage, DecodeBuffers buffers, CudaStream stream, int width)
    {
        _stage = stage;
        _buffers = buffers;
        _stream = stream;
        _width = width;
        var (vocabulary, ranks) = (stage.Model.VocabularySize, stage.RankCount);
        _widest = (vocabulary + ranks - 1) / ranks;
        _drawn = Pinned(ScalarType.Int32, 1);
        _logits = Pinned(ScalarType.Float32, _widest);
        _all = stage.Rank == 0 && ranks > 1 ? new float[DecodeBuffers.TokensMax * _widest * ranks] : [];
        _row = stage.Rank == 0 ? new float[vocabulary] : [];
    }

    /// <summary>Waits for the pass and hands out its tokens.</summary>
    /// <param name="bringsLogits">All logits are wanted here.</param>
    /// <param name="drawn">Takes a sample's index in the step and its token.</param>
    /// <param name="draw">Takes a sample's index and its logits, for the token to be drawn here.</param>
    public void Read(
        ReadOnlySpan<DecodeColumn> pass, ICollective collective, bool bringsLogits, Action<int, int> drawn,
        Action<int, float[]> draw)
    {
        if (_stage.RankCount > 1)
        {
            Gather(pass, collective, draw);
            return;
        }

        var tokens = (int*)TensorMemory.Pointer(_drawn);
        _stream.CopyToHost(tokens, _buffers.Drawn, pass.Length * sizeof(int));
        if (bringsLogits) FetchRows(pass);
        _stream.Synchronize();
        for (var i = 0; i < pass.Length; i++)
        {
            if (pass[i].Sample is not { } sample) continue;
            if (tokens[i] >= 0 && !bringsLogits && !pass[i].DrawsOnHost)
            {
                drawn(sample, tokens[i]);
                continue;
            }

            // The device leaves a row that is too flat to sort, broken, or to be drawn in a way that it does not know
            // to the sampler here, which tells what is wrong.
            if (!bringsLogits)
            {
                FetchRow(i, i);
                _stream.Synchronize();
            }

            HostRow(i, _width).CopyTo(_row);
            draw(sample, _row);
        }
    }

    public void Dispose()
    {
        _drawn.Dispose();
        _logits.Dispose();
    }

    private void FetchRows(ReadOnlySpan<DecodeColumn> pass)
    {
        for (var i = 0; i < pass.Length; i++)
        {
            if (pass[i].Sample is not null) FetchRow(i, i);
        }
    }

    private void Gather(ReadOnlySpan<DecodeColumn> pass, ICollective collective, Action<int, float[]> draw)
    {
        var count = 0;
        for (var i = 0; i < pass.Length; i++)
        {
            if (pass[i].Sample is not null) FetchRow(i, count++);
        }

        _stream.Synchronize();
        if (count == 0) return;
        var block = new Span<float>(TensorMemory.Pointer(_logits), count * _widest);
        var all = _all.AsSpan(0, _stage.Rank == 0 ? block.Length * _stage.RankCount : 0);
        collective.GatherToFirst(block, all);
        if (_stage.Rank != 0) return;
        var slot = 0;
        foreach (var column in pass)
        {
            if (column.Sample is not { } sample) continue;
            for (var rank = 0; rank < _stage.RankCount; rank++)
            {
                var range = TensorSlices.Even(_row.Length, rank, _stage.RankCount);
                all.Slice((rank * block.Length) + (slot * _widest), (int)range.Count)
                    .CopyTo(_row.AsSpan((int)range.First));
            }

            slot++;
            draw(sample, _row);
        }
    }

    private void FetchRow(int column, int slot) => _stream.CopyToHost(
        (float*)TensorMemory.Pointer(_logits) + ((long)slot * _widest),
        _buffers.Logits + (nint)((long)column * _width * sizeof(float)), (long)_width * sizeof(float));

    private ReadOnlySpan<float> HostRow(int slot, int length) =>
        new((float*)TensorMemory.Pointer(_logits) + ((long)slot * _widest), length);

    private static Tensor Pinned(ScalarType type, long width) =>
        zeros([DecodeBuffers.TokensMax, width], type).pin_memory().DetachFromDisposeScope();
}
