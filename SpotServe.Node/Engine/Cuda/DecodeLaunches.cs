using SpotServe.Node.Engine.Blocks;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>The size that a pass is recorded for.</summary>
/// <param name="Tokens">Columns.</param>
/// <param name="Splits">Runs of 256 positions that a column's attention may see.</param>
internal readonly record struct PassSize(int Tokens, int Splits)
{
    /// <summary>Pages of a column's table.</summary>
    public int TableStride => Splits * DecodeLaunches.PagesASplit;
}

/// <summary>
/// The kernels of a stage's decode pass, in order. Where ranks add their parts of row-parallel products on the host's
/// side, a pass is cut into sections: each ends where a sum over the ranks is due.
/// </summary>
internal sealed unsafe partial class DecodeLaunches
{
    public const int SplitTokens = 256;

    public const int PagesASplit = SplitTokens / KvPage.Tokens;

    private const int Segments = 8;
    private const int RowThreads = 512;
    private const int HeadThreads = 128;
    private const int DrawThreads = 1024;

    private readonly StageContext _stage;
    private readonly DecodeModel _model;
    private readonly DecodeBuffers _buffers;
    private readonly StepSlots _slots;
    private readonly CudaModule _module;
    private readonly CudaStream _stream;
    private readonly TensorMaps _maps;
    private readonly bool _fusesHeads;
    private readonly int _multiprocessors;
    private readonly RowBlocks _rowBlocks;

    public DecodeLaunches(
        StageContext stage, DecodeModel model, DecodeBuffers buffers, StepSlots slots, CudaModule module,
        CudaStream stream)
    {
        _stage = stage;
        _model = model;
        _buffers = buffers;
        _slots = slots;
        _module = module;
        _stream = stream;
        _maps = new TensorMaps(stage.WeightType == TorchSharp.torch.ScalarType.Float16);
        _fusesHeads = model.HasFusedHeads(stage.Heads);
        _multiprocessors = CudaDriver.MultiprocessorCount(stage.Device.index);
        _rowBlocks = RowBlocks.For(stage.RankCount, stage.Model.HiddenSize, _multiprocessors);
    }

    /// <summary>Sections of a pass: 1, or one more than there are sums over ranks.</summary>
    public int SectionCount => _stage.RankCount == 1 || _stage.Peers is not null ? 1 : SumCount + 1;

    /// <summary>Sums over the ranks in a pass.</summary>
    public int SumCount => (2 * _model.Layers.Count) + FrontSums;

    private int FrontSums => _model.Embedding is null ? 0 : 1;

    /// <summary>Makes what a size needs before it is recorded: memory is not allocated while recording.</summary>
    public void Prepare(PassSize size)
    {
        if (size.Splits > AttentionLaunch.ClusterSplitsMax) _buffers.Partial(size.Splits);
    }

    /// <summary>Starts a section's kernels, or records them.</summary>
    public void Enqueue(int section, PassSize size)
    {
        if (_stage.Peers is { } peers)
        {
            EnqueueAll(size, peers);
            return;
        }

        if (_stage.RankCount == 1)
        {
            Enter(size, section: 0);
            for (var i = 0; i < _model.Layers.Count; i++)
            {
                Attend(size, i);
                Residual(size, _model.Layers[i].Output, _buffers.Attended, _model.Layers[i].MlpNorm);
                Gate(size, i);
                Residual(size, _model.Layers[i].Mlp.Down, _buffers.Gated, NormAfter(i));
            }

            Finish(size);
            return;
        }

        var halfLayer = section - FrontSums;
        if (halfLayer <= 0) Enter(size, section);
        else AddSum(size, halfLayer % 2 == 1 ? _model.Layers[halfLayer / 2].MlpNorm : NormAfter((halfLayer / 2) - 1));
        if (halfLayer < 0) return;
        if (halfLayer == 2 * _model.Layers.Count)
        {
            Finish(size);
        }
        else if (halfLayer % 2 == 0)
        {
            Attend(size, halfLayer / 2);
            Partial(size, _model.Layers[halfLayer / 2].Output, _buffers.Attended);
        }
        else
        {
            Gate(size, halfLayer / 2);
            Partial(size, _model.Layers[halfLayer / 2].Mlp.Down, _buffers.Gated);
        }
    }

    /// <summary>What norms the residual stream after a layer; null where the stage ends and hands it on.</summary>
    private RmsNorm? NormAfter(int layer) =>
        layer + 1 < _model.Layers.Count ? _model.Layers[layer + 1].AttentionNorm : _model.FinalNorm;

    /// <summary>Tokens or the previous stage's states enter. With several ranks the first section only looks the tokens
    /// up, for the sum; the second one takes the sum in.</summary>
    private void Enter(PassSize size, int section)
    {
        var looksUp = section == 0 && _model.Embedding is not null;
        var isPart = looksUp && _stage.RankCount > 1;
        var arguments = new RowArguments
        {
            Embedding = looksUp ? Address(_model.Embedding!.Weight) : 0,
            Values = looksUp ? 0 : _buffers.Incoming,
            Ids = _slots.Ids,
            Residual = isPart ? _buffers.Incoming : _buffers.Residual,
            Gained = _buffers.Gained,
            Gain = isPart ? 0 : Address(_model.Layers[0].AttentionNorm.Weight),
            Squares = _buffers.Squares,
            Width = _stage.Model.HiddenSize,
            FirstId = looksUp ? (int)_model.Embedding!.Range.First : 0,
            IdCount = looksUp ? (int)_model.Embedding!.Range.Count : 0,
        };
        if (isPart && _stage.Peers is { } peers) arguments.Push = peers.Push(0, SumCount, _slots.Sequence);
        // The first of a pass: what it reads came by a copy, which no kernel waits for by itself.
        Launch("enter", new LaunchShape(size.Tokens, 1, 1, RowThreads, 0, 1, StartsEarly: false), &arguments);
    }

    private void AddSum(PassSize size, RmsNorm? norm)
    {
        var arguments = new RowArguments
        {
            Values = _buffers.Incoming,
            Residual = _buffers.Residual,
            Gained = _buffers.Gained,
            Gain = norm is null ? 0 : Address(norm.Weight),
            Squares = _buffers.Squares,
            Width = _stage.Model.HiddenSize,
            Adds = 1,
        };
        Launch("enter", new LaunchShape(size.Tokens, 1, 1, RowThreads, 0, 1, StartsEarly: false), &arguments);
    }

    private void Attend(PassSize size, int index)
    {
        var (layer, heads) = (_model.Layers[index], _stage.Heads);
        var arguments = Linear(size, layer.QueryKeyValue.Weight, _buffers.Gained, layer.AttentionNorm);
        arguments.Bias = layer.QueryKeyValue.Bias is { } bias ? Address(bias) : 0;
        arguments.Tiles = arguments.Rows / 16;
        if (_fusesHeads && !IsWide(size))
        {
            arguments.High = Row(layer.QueryKeyValue.Weight, heads.HeadSize / 2);
            arguments.Queries = _buffers.Queries;
            arguments.Pages = Address(layer.Pages);
            arguments.Table = _slots.Table;
            arguments.Positions = _slots.Positions;
            arguments.TableFirst = _slots.TableFirst;
            arguments.Cosines = Address(_model.Rotary!.Cosines);
            arguments.Sines = Address(_model.Rotary.Sines);
            arguments.TableStride = size.TableStride;
            arguments.QueryHeads = heads.QueryHeads;
            arguments.KvHeads = heads.KvHeads;
            Launch("heads", size, ref arguments, waves: size.Tokens is > 8 and <= 16 ? 1 : 2);
        }
        else
        {
            arguments.High = Row(layer.QueryKeyValue.Weight, 8);
            arguments.Output = _buffers.HeadValues;
            arguments.OutputStride = arguments.Rows;
            Launch("floats", size, ref arguments, waves: 2);
            PlaceHeads(size, layer);
        }

        AttendPages(size, layer);
    }

    private void PlaceHeads(PassSize size, DecodeLayer layer)
    {
        var heads = _stage.Heads;
        var arguments = new HeadArguments
        {
            Values = _buffers.HeadValues,
            QueryNorm = layer.QueryNorm is { } query ? Address(query.Weight) : 0,
            KeyNorm = layer.KeyNorm is { } key ? Address(key.Weight) : 0,
            Queries = _buffers.Queries,
            Pages = Address(layer.Pages),
            Table = _slots.Table,
            Positions = _slots.Positions,
            TableFirst = _slots.TableFirst,
            Cosines = _model.Rotary is { } rotary ? Address(rotary.Cosines) : 0,
            Sines = _model.Rotary is { } turning ? Address(turning.Sines) : 0,
            Epsilon = (float)(layer.QueryNorm?.Epsilon ?? 0),
            Turned = _model.Rotary?.Width ?? 0,
            TableStride = size.TableStride,
            QueryHeads = heads.QueryHeads,
            KvHeads = heads.KvHeads,
        };
        const int Warps = HeadThreads / 32;
        var blocks = (heads.QueryHeads + (2 * heads.KvHeads) + Warps - 1) / Warps;
        var bytes = Warps * heads.HeadSize * sizeof(float);
        Launch("place", new LaunchShape(size.Tokens, blocks, 1, HeadThreads, bytes, 1, StartsEarly: true), &arguments);
    }

    private void AttendPages(PassSize size, DecodeLayer layer)
    {
        var heads = _stage.Heads;
        var launch = new AttentionLaunch(heads, size, _multiprocessors);
        var arguments = new AttentionArguments
        {
            Queries = _buffers.Queries,
            Pages = Address(layer.Pages),
            Table = _slots.Table,
            Positions = _slots.Positions,
            TableFirst = _slots.TableFirst,
            Stable = _slots.Stable,
            Output = _buffers.Attended,
            Partial = launch.MeetsInMemory ? _buffers.Partial(size.Splits) : 0,
            Arrived = _buffers.Arrived,
            Scale = 1 / MathF.Sqrt(heads.HeadSize),
            Window = layer.Window,
            TableStride = size.TableStride,
            KvHeads = heads.KvHeads,
            SplitsMax = size.Splits,
            QueryStride = heads.QueryWidth,
            SplitsEach = launch.SplitsEach,
        };
        Launch(launch.Kernel, launch.Shape(startsEarly: true), &arguments);
    }
}
