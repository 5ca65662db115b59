using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>A layer: reads the residual stream [tokens, hidden] in float32 and adds to it.</summary>
internal interface ILayer : IDisposable
{
    PagedAttention Attention { get; }

    void AddTo(Tensor residual);
}

/// <summary>norm, attention, add; norm, feed-forward, add.</summary>
internal sealed class PreNormLayer(
    INormalization attentionNorm, PagedAttention attention, INormalization mlpNorm, IMlp mlp) : ILayer
{
    public PagedAttention Attention => attention;

    public void AddTo(Tensor residual)
    {
        attention.AddTo(residual, attentionNorm.Apply(residual));
        mlp.AddTo(residual, mlpNorm.Apply(residual));
    }

    public void Dispose() => attention.Dispose();
}
