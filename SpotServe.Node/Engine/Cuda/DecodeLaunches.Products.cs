using SpotServe.Actors;
using SpotServe.Node.Engine.Blocks;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>The products of a layer and of the head: what each adds to the arguments that they have in common, and
/// how a kernel is chosen by the number of columns.</summary>
internal sealed unsafe partial class DecodeLaunches
{
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
        arguments.Residual = _buffers.Residual;
        arguments.Gained = _buffers.Gained;
        // A stage that hands on has no norm to prepare; any weights do, and nothing reads what comes of them.
        arguments.Gain = Address((next ?? _model.Layers[0].AttentionNorm).Weight);
        arguments.SquaresOut = _buffers.Squares;
        arguments.Squares = _stage.Model.HiddenSize / 16;
        arguments.OutputStride = arguments.Rows;
        Launch("residual", size, ref arguments, waves: 2);
    }

    /// <summary>This rank's part of a row-parallel product.</summary>
    /// <param name="push">Where it goes; none leaves it to the host.</param>
    private void Partial(PassSize size, RowLinear layer, nint input, in PushArguments push = default)
    {
        var arguments = Linear(size, layer.Weight, input, norm: null);
        arguments.Segment = arguments.K * _stage.RankCount / Segments;
        arguments.High = Row(layer.Weight, 8);
        arguments.Tiles = arguments.Rows / 16;
        arguments.Output = _buffers.Incoming;
        arguments.OutputStride = arguments.Rows;
        arguments.Push = push;
        Launch("partial", size, ref arguments, waves: 2);
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

        var (suffix, tokenTiles, depth) = size.Tokens switch
        {
            <= 8 => ("8", 1, 4),
            <= 16 => ("16", 2, 4),
            <= 32 => ("32", 4, layer == "partial" ? 4 : 3),
            _ => ("64", 8, 3),
        };
        var isPartial = layer == "partial";
        var isPair = tokenTiles >= 4 && !isPartial;
        var rowTiles = isPartial ? 1 : 2;
        var groups = isPartial ? _stage.RankCount : 1;
        var tilesEach = isPair ? 4 : rowTiles * groups;
        var most = isPair ? _multiprocessors / 2 : _multiprocessors * waves;
        var blocks = Math.Min((arguments.Tiles + tilesEach - 1) / tilesEach, most);
        var sums = rowTiles * tokenTiles;
        // Groups of rows share a ring of tokens where these are many.
        var sharers = tokenTiles > 1 ? groups : 1;
        var bytes = isPair
            ? (4 * depth * (8_192 + (tokenTiles * 1_024))) + (tokenTiles == 4 ? 32_768 : 0) + (tokenTiles * 2_128)
            : (8 / sharers * depth * ((sharers * rowTiles * 2_048) + (tokenTiles * 1_024)))
                + ((sums <= 4 ? 2 : 1) * 8 * sums * 512) + (tokenTiles * 32);
        var shape = new LaunchShape(
            isPair ? 2 * blocks : blocks, 1, 1, 256, bytes, isPair ? 2 : 1, StartsEarly: true);
        fixed (LinearArguments* start = &arguments) Launch(layer + suffix, shape, start);
    }

    private void Launch(string name, in LaunchShape shape, void* arguments)
    {
        var pointers = stackalloc void*[] { arguments };
        _module.Launch(_stream, name, shape, pointers);
    }

    private static nint Address(Tensor tensor) => (nint)TensorMemory.Pointer(tensor);

    private static nint Row(Tensor weight, long row) =>
        Address(weight) + (nint)(row * weight.shape[1] * weight.ElementSize);
}
