using System.Runtime.InteropServices;

namespace SpotServe.Node.Engine.Cuda;

// The structs of the kernels' parameters, field by field as the sources in Kernels/ have them; addresses are of device
// memory.

/// <summary>See epilogues.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LinearArguments
{
    public nint Low;
    public nint High;
    public nint Input;
    public nint SquaresIn;
    public nint Bias;
    public nint Output;
    public nint Residual;
    public nint Gained;
    public nint Gain;
    public nint SquaresOut;
    public nint Queries;
    public nint Pages;
    public nint Table;
    public nint Positions;
    public nint TableFirst;
    public nint Cosines;
    public nint Sines;
    public float Epsilon;
    public float InverseWidth;
    public int K;
    public int Segment;
    public int Tokens;
    public int Tiles;
    public int Rows;
    public int OutputStride;
    public int Squares;
    public int TableStride;
    public int QueryHeads;
    public int KvHeads;
    public PushArguments Push;
}

/// <summary>See wide.cuh.</summary>
/// <remarks>The size is what the alignment of 64 makes of it there.</remarks>
[StructLayout(LayoutKind.Sequential, Size = 704)]
internal struct WideArguments
{
    public TensorMap Input;
    public TensorMap Weights;
    public TensorMap Second;
    public LinearArguments Linear;
}

/// <summary>See attention.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AttentionArguments
{
    public nint Queries;
    public nint Pages;
    public nint Table;
    public nint Positions;
    public nint TableFirst;
    public nint Stable;
    public nint Output;
    public nint Partial;
    public nint Arrived;
    public float Scale;
    public int Window;
    public int TableStride;
    public int KvHeads;
    public int SplitsMax;
    public int QueryStride;
    public int SplitsEach;
}

/// <summary>See rows.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RowArguments
{
    public nint Embedding;
    public nint Values;
    public nint Ids;
    public nint Residual;
    public nint Gained;
    public nint Gain;
    public nint Squares;
    public int Width;
    public int FirstId;
    public int IdCount;
    public int Adds;
    public PushArguments Push;
    public nint From;
    public long Stride;
    public PatienceArguments Patience;
}

/// <summary>See rows.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HeadArguments
{
    public nint Values;
    public nint QueryNorm;
    public nint KeyNorm;
    public nint Queries;
    public nint Pages;
    public nint Table;
    public nint Positions;
    public nint TableFirst;
    public nint Cosines;
    public nint Sines;
    public float Epsilon;
    public int Turned;
    public int TableStride;
    public int QueryHeads;
    public int KvHeads;
}

/// <summary>See sampling.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DrawArguments
{
    public nint Logits;
    public nint Sampling;
    public nint Positions;
    public nint Drawn;
    public int Width;
    public int Stride;
}

/// <summary>See prompts.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PromptArguments
{
    public nint Rows;
    public nint Pages;
    public nint Table;
    public nint Output;
    public float Scale;
    public int RowStride;
    public int OutputStride;
    public int Count;
    public int Start;
    public int Window;
    public int KvHeads;
    public int Group;
}
