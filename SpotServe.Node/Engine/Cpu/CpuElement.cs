using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using SpotServe.Node.Weights;

namespace SpotServe.Node.Engine.Cpu;

/// <summary>How a kernel reads and writes the values of activations and cache, which it computes in float32.</summary>
internal unsafe interface ICpuElement
{
    static abstract Vector256<float> Load(void* values, long index);

    static abstract void Store(void* values, long index, Vector256<float> value);

    static abstract int Bytes { get; }
}

internal readonly unsafe struct Float32Element : ICpuElement
{
    public static int Bytes => sizeof(float);

    public static Vector256<float> Load(void* values, long index) => Vector256.Load((float*)values + index);

    public static void Store(void* values, long index, Vector256<float> value) =>
        Vector256.Store(value, (float*)values + index);
}

internal readonly unsafe struct BFloat16Element : ICpuElement
{
    public static int Bytes => sizeof(ushort);

    public static Vector256<float> Load(void* values, long index)
    {
        // One instruction instead of the three that the general form becomes.
        if (Avx2.IsSupported)
            return (Avx2.ConvertToVector256Int32((ushort*)values + index) << 16).AsSingle();
        var (low, high) = Vector128.Widen(Vector128.Load((ushort*)values + index));
        return (Vector256.Create(low, high) << 16).AsSingle();
    }

    public static void Store(void* values, long index, Vector256<float> value)
    {
        var rounded = ElementConversion.RoundToBFloat16(value.AsUInt32());
        Vector128.Store(Vector128.Narrow(rounded.GetLower(), rounded.GetUpper()), (ushort*)values + index);
    }
}
