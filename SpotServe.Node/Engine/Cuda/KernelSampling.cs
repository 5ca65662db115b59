using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>How the GPU's sampler draws a token, as sampling.cuh has it. It knows temperature, top-p, top-k and the
/// seed; what a request wants beyond these is drawn on the host, from the row's logits.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal readonly record struct KernelSampling(float Temperature, float TopP, int TopK, ulong Seed)
{
    /// <summary>The struct's size in numbers of 4 bytes.</summary>
    public const int Ints = 5;

    /// <summary>Whether these parameters ask for nothing that the GPU's sampler does not know.</summary>
    public static bool Knows(SamplingParameters sampling) =>
        sampling == new SamplingParameters(sampling.Temperature, sampling.TopP, sampling.TopK, sampling.Seed);

    public static KernelSampling Of(SamplingParameters sampling) =>
        new(sampling.Temperature, sampling.TopP, sampling.TopK, sampling.Seed);
}
