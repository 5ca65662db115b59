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
    public INormalization AttentionNorm => attentionNorm;

    public PagedAttention Attention => attention;

    public INormalization MlpNorm => mlpNorm;

    public IMlp Mlp => mlp;

    public void AddTo(Tensor residual)
    {
        attention.AddTo(residual, attentionNorm.Apply(residual));
        mlp.AddTo(residual, mlpNorm.Apply(residual));
    }

    public void Dispose() => attention.Dispose();
}

/// <summary>Attention and feed-forward both read the stream as it comes, each through its own norm, and both are
/// added.</summary>
internal sealed class ParallelLayer(
    INormalization attentionNorm, PagedAttention attention, INormalization mlpNorm, IMlp mlp) : ILayer
{
    public PagedAttention Attention => attention;

    public void AddTo(Tensor residual)
    {
        var forMlp = mlpNorm.Apply(residual);
        attention.AddTo(residual, attentionNorm.Apply(residual));
        mlp.AddTo(residual, forMlp);
    }

    public void Dispose() => attention.Dispose();
}

/// <summary>attention, add, norm of the stream itself; feed-forward, add, norm of the stream.</summary>
internal sealed class PostNormLayer(
    StageContext stage, INormalization attentionNorm, PagedAttention attention, INormalization mlpNorm, IMlp mlp)
    : ILayer
{
    public PagedAttention Attention => attention;

    public void AddTo(Tensor residual)
    {
        attention.AddTo(residual, residual.to(stage.WeightType));
        residual.copy_(attentionNorm.Apply(residual));
        mlp.AddTo(residual, residual.to(stage.WeightType));
        residual.copy_(mlpNorm.Apply(residual));
    }

    public void Dispose() => attention.Dispose();
}
