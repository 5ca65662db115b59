using SpotServe.Actors.Execution;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// Brings back what a pass drew. Where one GPU has all logits, its own or those of ranks that push them to it, only
/// token ids leave it, except for rows that are observed, too flat to be sorted there, or drawn in a way that the
/// device does not know; else rank 0 puts the ranks' logits together on the host.
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
    /// <param name="mayGather">The ranks' GPUs may bring their logits together.</param>
    public DecodeOutput(StageContext stage, DecodeBuffers buffers, CudaStream stream, int width, bool mayGather)
    {
        _stage = stage;
        _buffers = buffers;
        _stream = stream;
        _width = width;
        var (vocabulary, ranks) = (stage.Model.VocabularySize, stage.RankCount);
        _widest = (vocabulary + ranks - 1) / ranks;
        _drawn = Pinned(ScalarType.Int32, buffers.Columns, 1);
        _logits = Pinned(
            ScalarType.Float32, DecodeBuffers.TokensMax, mayGather && stage.Rank == 0 ? vocabulary : _widest);
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
        if (_stage.RankCount == 1)
        {
            ReadDrawn(pass, new Rows(_buffers.Logits, _width, _width), bringsLogits, drawn, draw);
        }
        else if (_stage.Peers is not { } peers)
        {
            Gather(pass, collective, draw);
        }
        else if (_stage.Rank == 0)
        {
            var vocabulary = _row.Length;
            ReadDrawn(pass, new Rows(peers.Logits, vocabulary, vocabulary), bringsLogits, drawn, draw);
        }
        else
        {
            _stream.Synchronize();
            peers.ThrowIfGivenUp(collective);
        }
    }

    public void Dispose()
    {
        _drawn.Dispose();
        _logits.Dispose();
    }

    private void ReadDrawn(
        ReadOnlySpan<DecodeColumn> pass, in Rows rows, bool bringsLogits, Action<int, int> drawn,
        Action<int, float[]> draw)
    {
        var tokens = (int*)TensorMemory.Pointer(_drawn);
        _stream.CopyToHost(tokens, _buffers.Drawn, pass.Length * sizeof(int));
        var areFetched = bringsLogits && pass.Length <= DecodeBuffers.TokensMax;
        if (areFetched) FetchRows(pass, rows);
        _stream.Synchronize();
        _stage.Peers?.ThrowIfGivenUp(_stage.Collective!);
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
            if (!areFetched)
            {
                FetchRow(rows, i, slot: 0);
                _stream.Synchronize();
            }

            HostRow(rows, areFetched ? i : 0).CopyTo(_row);
            draw(sample, _row);
        }
    }

    private void FetchRows(ReadOnlySpan<DecodeColumn> pass, in Rows rows)
    {
        for (var i = 0; i < pass.Length; i++)
        {
            if (pass[i].Sample is not null) FetchRow(rows, i, i);
        }
    }

    private void Gather(ReadOnlySpan<DecodeColumn> pass, ICollective collective, Action<int, float[]> draw)
    {
        var (count, rows) = (0, new Rows(_buffers.Logits, _width, _widest));
        for (var i = 0; i < pass.Length; i++)
        {
            if (pass[i].Sample is not null) FetchRow(rows, i, count++);
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

    private void FetchRow(in Rows rows, int column, int slot) => _stream.CopyToHost(
        (float*)TensorMemory.Pointer(_logits) + ((long)slot * rows.HostStride),
        rows.Address + (nint)((long)column * rows.Width * sizeof(float)), (long)rows.Width * sizeof(float));

    private ReadOnlySpan<float> HostRow(in Rows rows, int slot) =>
        new((float*)TensorMemory.Pointer(_logits) + ((long)slot * rows.HostStride), rows.Width);

    private static Tensor Pinned(ScalarType type, long rows, long width) =>
        zeros([rows, width], type).pin_memory().DetachFromDisposeScope();

    /// <summary>Logits on the device, and where they go.</summary>
    /// <param name="Width">Of a row.</param>
    /// <param name="HostStride">From row to row in pinned memory.</param>
    private readonly record struct Rows(nint Address, int Width, int HostStride);
}
