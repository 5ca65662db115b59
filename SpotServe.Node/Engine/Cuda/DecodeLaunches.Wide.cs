namespace SpotServe.Node.Engine.Cuda;

/// <summary>The products of passes of more columns than the small products know. Each column has the bits that it has
/// there.</summary>
internal sealed unsafe partial class DecodeLaunches
{
    private const int WideThreads = 384;

    /// <summary>As wide.cuh has it: the ring, room to begin at a multiple of 1024, and the barriers.</summary>
    private const int WideSharedBytes = 196_608 + 1_024 + 256;

    /// <summary>Columns of a tile.</summary>
    private const int WideColumns = 128;

    private static bool IsWide(PassSize size) => size.Tokens > DecodeBuffers.TokensMax;

    private void LaunchWide(string layer, PassSize size, ref LinearArguments arguments)
    {
        var isPair = size.Tokens > WideColumns;
        var isResidual = layer == "residual";
        if (isResidual && !isPair)
        {
            // One tile of columns leaves half of the multiprocessors without work: reading the weights twice is faster.
            LaunchInTurns(layer, size, arguments);
            return;
        }

        var isGated = layer == "gated";
        var rows = isResidual ? 64 : 128;
        var (width, cluster) = (arguments.K / Segments, isPair ? 2 : 1);
        var wide = new WideArguments
        {
            Input = _maps.Of(arguments.Input, _buffers.Columns, width, Segments),
            Weights = _maps.OfWeight(arguments.Low, arguments.Rows, width, Segments, rows / 2),
            Linear = arguments,
        };
        if (isGated) wide.Second = _maps.OfWeight(arguments.High, arguments.Rows, width, Segments, rows / 2);
        var rowsEach = isGated ? rows / 2 : rows;
        var tiles = (arguments.Rows + rowsEach - 1) / rowsEach;
        var blocks = cluster * Math.Min(tiles, _multiprocessors / cluster);
        Launch(
            layer + (isPair ? "WidePair" : "Wide"),
            new LaunchShape(blocks, 1, 1, WideThreads, WideSharedBytes, cluster, StartsEarly: true), &wide);
    }

    /// <summary>A residual product by the small products, some columns after the others.</summary>
    private void LaunchInTurns(string layer, PassSize size, in LinearArguments arguments)
    {
        for (var first = 0; first < size.Tokens; first += DecodeBuffers.TokensMax)
        {
            var part = arguments;
            part.Tokens = Math.Min(DecodeBuffers.TokensMax, size.Tokens - first);
            part.Input += (nint)((long)first * arguments.K * sizeof(ushort));
            var row = (long)first * arguments.OutputStride;
            part.Residual += (nint)(row * sizeof(float));
            part.Gained += (nint)(row * sizeof(ushort));
            part.SquaresOut += (nint)((long)first * arguments.Squares * sizeof(float));
            Launch(layer, new PassSize(part.Tokens, size.Splits), ref part, waves: 2);
        }
    }
}
