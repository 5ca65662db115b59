using SpotServe.Node.Engine.Blocks;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>A pass whose ranks sum in each other's memory: all of it is one recording. A product over the ranks pushes
/// its part of each tile, as it is made, to all of them or to the tile's owner, waits for the sum, and ends as a
/// product of one rank does.</summary>
internal sealed unsafe partial class DecodeLaunches
{
    private const int GatherThreads = 128;
    private const int AwaitThreads = 256;

    /// <summary>Values that a block of the adding kernel brings at once.</summary>
    private const int RowValuesAtOnce = RowThreads / 32 * 64;

    private void EnqueueAll(PassSize size, PeerLinks peers)
    {
        Enter(size, section: 0);
        var sum = 0;
        if (FrontSums > 0) Receive(size, peers, sum++, _model.Layers[0].AttentionNorm);
        for (var i = 0; i < _model.Layers.Count; i++)
        {
            Attend(size, i);
            Joint(size, peers, sum++, _model.Layers[i].Output, _buffers.Attended, _model.Layers[i].MlpNorm);
            Gate(size, i);
            Joint(size, peers, sum++, _model.Layers[i].Mlp.Down, _buffers.Gated, NormAfter(i));
        }

        Finish(size);
    }

    /// <summary>A row-parallel product, summed over the ranks and added to the residual stream.</summary>
    private void Joint(PassSize size, PeerLinks peers, int sum, RowLinear layer, nint input, RmsNorm? next)
    {
        var arguments = PartOf(size, layer, input);
        AddsToResidual(ref arguments, next);
        arguments.Push = peers.Push(sum, SumCount, _slots.Sequence);
        arguments.Push.HasOwners = PeerPass.HasOwners(_stage.RankCount, size.Tokens, arguments.Tiles) ? 1 : 0;
        arguments.From = peers.From(sum, SumCount);
        arguments.Stride = peers.Stride;
        arguments.Patience = peers.Waits;
        Launch("partial", size, ref arguments, waves: 2);
    }

    /// <summary>The sum of what the ranks looked up enters the residual stream; prepares the first norm.</summary>
    private void Receive(PassSize size, PeerLinks peers, int sum, RmsNorm? norm)
    {
        var width = _stage.Model.HiddenSize;
        var arguments = new RowArguments
        {
            Residual = _buffers.Residual,
            Gained = _buffers.Gained,
            Gain = norm is null ? 0 : Address(norm.Weight),
            Squares = _buffers.Squares,
            Width = width,
            Push = peers.Push(sum, SumCount, _slots.Sequence),
            From = peers.From(sum, SumCount),
            Stride = peers.Stride,
            Patience = peers.Waits,
        };
        var blocks = (width + RowValuesAtOnce - 1) / RowValuesAtOnce;
        var shape = new LaunchShape(size.Tokens, blocks, 1, RowThreads, 0, 1, StartsEarly: true);
        Launch("enter", shape, &arguments);
    }

    /// <summary>Brings the ranks' logits together on rank 0, which draws.</summary>
    /// <param name="width">Of this rank's logits.</param>
    private void GatherAndDraw(PassSize size, PeerLinks peers, int width)
    {
        var vocabulary = _stage.Model.VocabularySize;
        var first = (int)TensorSlices.Even(vocabulary, peers.Rank, peers.RankCount).First;
        var arguments = new GatherArguments
        {
            Logits = _buffers.Logits,
            To = peers.Logits + (first * sizeof(float)),
            Flags = peers.RowFlags,
            Sequence = _slots.Sequence,
            Patience = peers.Waits,
            Index = SumCount,
            Tokens = size.Tokens,
            Width = width,
            Stride = vocabulary,
            Rank = peers.Rank,
            Ranks = peers.RankCount,
            Parts = PeerEnd.RowParts,
        };
        var grid = new LaunchShape(size.Tokens, PeerEnd.RowParts, 1, GatherThreads, 0, 1, StartsEarly: true);
        Launch("gatherLogits", grid, &arguments);
        if (peers.Rank != 0) return;
        Launch("awaitLogits", new LaunchShape(1, 1, 1, AwaitThreads, 0, 1, StartsEarly: true), &arguments);
        Draw(size, peers.Logits, vocabulary);
    }
}
