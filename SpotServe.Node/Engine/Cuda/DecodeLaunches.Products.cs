using SpotServe.Actors;
using SpotServe.Node.Engine.Blocks;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>The products of a layer and of the head: what each adds to the arguments that they have in common, and
/// how a kernel is chosen by the number of columns.</summary>
internal sealed unsafe partial class DecodeLaunches
{
    /// <summary>A stage of a ring: 64 values of a tile of 16 rows, or of 8 tokens.</summary>
    private const int WeightBytes = 2_048;

    private const int TokenBytes = 1_024;

    /// <summary>A factor for each of 8 tokens.</summary>
    private const int ScaleBytes = 32;

    private void Gate(PassSize size, int index)
    {
        var layer = _model.Layers[index];
        var arguments = Linear(size, layer.Mlp.Gate.Weight, _buffers.Gained, layer.MlpNorm);
        arguments.High = Address(layer.Mlp.Up.Weight);
        arguments.Tiles = arguments.Rows / 8;
        arguments.Output = _buffers.Gated;
        arguments.OutputStride = arguments.Rows;
        Launch("gated", size, ref arguments, waves: 2);
    }

    /// <summary>A row-parallel product of one rank, added to the residual stream.</summary>
    private void Residual(PassSize size, RowLinear layer, nint input, RmsNorm? next)
    {
        var arguments = Linear(size, layer.Weight, input, norm: null);
        arguments.High = Row(layer.Weight, 8);
        arguments.Tiles = arguments.Rows / 16;
        AddsToResidual(ref arguments, next);
        Launch("residual", size, ref arguments, waves: 2);
    }

    /// <summary>The product ends in the residual stream and prepares the next norm.</summary>
    private void AddsToResidual(ref LinearArguments arguments, RmsNorm? next)
    {
        arguments.Residual = _buffers.Residual;
        arguments.Gained = _buffers.Gained;
        // A stage that hands on has no norm to prepare; any weights do, and nothing reads what comes of them.
        arguments.Gain = Address((next ?? _model.Layers[0].AttentionNorm).Weight);
        arguments.SquaresOut = _buffers.Squares;
        arguments.Squares = _stage.Model.HiddenSize / 16;
        arguments.OutputStride = arguments.Rows;
    }

    /// <summary>This rank's part of a row-parallel product, for the host to sum.</summary>
    private void Partial(PassSize size, RowLinear layer, nint input)
    {
        var arguments = PartOf(size, layer, input);
        arguments.Output = _buffers.Incoming;
        Launch("partial", size, ref arguments, waves: 2);
    }

    private LinearArguments PartOf(PassSize size, RowLinear layer, nint input)
    {
        var arguments = Linear(size, layer.Weight, input, norm: null);
        arguments.Segment = arguments.K * _stage.RankCount / Segments;
        arguments.High = Row(layer.Weight, 8);
        arguments.Tiles = arguments.Rows / 16;
        arguments.OutputStride = arguments.Rows;
        return arguments;
    }

    /// <summary>Logits and what is drawn from them; nothing where the stage hands on.</summary>
    private void Finish(PassSize size)
    {
        if (_model.Head is null) return;
        var arguments = Linear(size, _model.Head.Weight, _buffers.Gained, _model.FinalNorm);
        arguments.High = Row(_model.Head.Weight, 8);
        arguments.Tiles = (arguments.Rows + 15) / 16;
        arguments.Output = _buffers.Logits;
        arguments.OutputStride = arguments.Rows;
        Launch("floats", size, ref arguments, waves: size.Tokens is > 8 and <= 16 ? 1 : 2);
        if (_stage.RankCount == 1) Draw(size, _buffers.Logits, arguments.Rows);
        else if (_stage.Peers is { } peers) GatherAndDraw(size, peers, arguments.Rows);
    }

    private void Draw(PassSize size, nint logits, int vocabulary)
    {
        var drawing = new DrawArguments
        {
            Logits = logits,
            Sampling = _slots.Sampling,
            Positions = _slots.Positions,
            Drawn = _buffers.Drawn,
            Width = vocabulary,
            Stride = vocabulary,
        };
        Launch("drawTokens", new LaunchShape(size.Tokens, 1, 1, DrawThreads, 0, 1, StartsEarly: true), &drawing);
    }

    private LinearArguments Linear(PassSize size, Tensor weight, nint input, RmsNorm? norm)
    {
        var k = (int)weight.shape[1];
        return new LinearArguments
        {
            Low = Address(weight),
            Input = input,
            SquaresIn = norm is null ? 0 : _buffers.Squares,
            Epsilon = (float)(norm?.Epsilon ?? 0),
            InverseWidth = 1f / _stage.Model.HiddenSize,
            K = k,
            Segment = k / Segments,
            Tokens = size.Tokens,
            Rows = (int)weight.shape[0],
            Squares = _stage.Model.HiddenSize / 16,
        };
    }

    /// <summary>Chooses the kernel by the number of columns, and how many blocks share the tiles.</summary>
    /// <param name="waves">Blocks for each multiprocessor: the second wave's weights are under way while the first
    /// ends.</param>
    private void Launch(string layer, PassSize size, ref LinearArguments arguments, int waves)
    {
        Invariant.Holds(size.Tokens >= 1 && size.Tokens <= _buffers.Columns);
        if (IsWide(size))
        {
            LaunchWide(layer, size, ref arguments);
            return;
        }

        var (columns, tokenTiles) = size.Tokens switch
        {
            <= 8 => ("8", 1),
            <= 16 => ("16", 2),
            <= 32 => ("32", 4),
            _ => ("64", 8),
        };
        fixed (LinearArguments* start = &arguments)
        {
            if (layer == "partial") Launch(layer + columns, PartialShape(arguments.Tiles, tokenTiles), start);
            else if (tokenTiles >= 4) Launch(layer + columns, PairShape(arguments.Tiles, tokenTiles), start);
            else if (tokenTiles == 1 && _stage.RankCount > 1)
                Launch(layer + "8Slim", SmallShape(arguments.Tiles, rowTiles: 1, tokenTiles, waves: 2), start);
            else Launch(layer + columns, SmallShape(arguments.Tiles, rowTiles: 2, tokenTiles, waves), start);
        }
    }

    /// <summary>Blocks of 8 warps, one for each segment.</summary>
    /// <param name="rowTiles">Of a block.</param>
    private LaunchShape SmallShape(int tiles, int rowTiles, int tokenTiles, int waves)
    {
        const int Depth = 4;
        var blocks = Math.Min((tiles + rowTiles - 1) / rowTiles, _multiprocessors * waves);
        var ring = Segments * Depth * ((rowTiles * WeightBytes) + (tokenTiles * TokenBytes));
        var bytes = ring + SumBytes(Segments, rowTiles * tokenTiles) + (tokenTiles * ScaleBytes);
        return new LaunchShape(blocks, 1, 1, Segments * 32, bytes, 1, StartsEarly: true);
    }

    /// <summary>Clusters of two blocks for tiles of 64 rows.</summary>
    private LaunchShape PairShape(int tiles, int tokenTiles)
    {
        const int Depth = 3;
        var clusters = Math.Min((tiles + 3) / 4, _multiprocessors / 2);
        var bytes = (4 * Depth * ((4 * WeightBytes) + (tokenTiles * TokenBytes))) + (tokenTiles == 4 ? 32_768 : 0)
            + (tokenTiles * 2_128);
        return new LaunchShape(2 * clusters, 1, 1, 256, bytes, 2, StartsEarly: true);
    }

    /// <summary>A rank's part of a row-parallel product.</summary>
    private LaunchShape PartialShape(int tiles, int tokenTiles)
    {
        var (warps, groups) = (_rowBlocks.Warps, _rowBlocks.Tiles(_stage.RankCount));
        var blocks = Math.Min((tiles + groups - 1) / groups, _multiprocessors * 2);
        // Groups of rows share a ring of tokens where these are many.
        var sharers = tokenTiles > 1 ? groups : 1;
        var ring = warps / sharers * _rowBlocks.Depth(tokenTiles)
            * ((sharers * WeightBytes) + (tokenTiles * TokenBytes));
        var bytes = ring + SumBytes(warps, tokenTiles) + (tokenTiles * ScaleBytes);
        return new LaunchShape(
            blocks, 1, 1, warps * 32, _rowBlocks.SharedBytes(bytes), 1, StartsEarly: true);
    }

    /// <param name="each">Tiles of sums of a warp.</param>
    private static int SumBytes(int warps, int each) => (each <= 4 ? 2 : 1) * warps * each * 512;

    private void Launch(string name, in LaunchShape shape, void* arguments)
    {
        var pointers = stackalloc void*[] { arguments };
        _module.Launch(_stream, name, shape, pointers);
    }

    private static nint Address(Tensor tensor) => (nint)TensorMemory.Pointer(tensor);

    private static nint Row(Tensor weight, long row) =>
        Address(weight) + (nint)(row * weight.shape[1] * weight.ElementSize);
}
