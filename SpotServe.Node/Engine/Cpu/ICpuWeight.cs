using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using SpotServe.Node.Weights;

namespace SpotServe.Node.Engine.Cpu;

/// <summary>How a product reads weights of a type, a block at a time, and in which order it wants the values that they
/// are multiplied with.</summary>
internal unsafe interface ICpuWeight
{
    /// <summary>Weights, and values of a row, that are read together.</summary>
    const int Block = 32;

    static abstract int Bytes { get; }

    /// <summary>Half of a block in float32: which sixteen of its elements is the type's own.</summary>
    static abstract Vector512<float> First(byte* weights);

    static abstract Vector512<float> Second(byte* weights);

    static abstract void Write(void* values, long index, float value);

    static abstract void Write(void* values, long index, Vector128<float> four);
}

internal readonly unsafe struct Float32Weight : ICpuWeight
{
    public static int Bytes => sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> First(byte* weights) => Vector512.Load((float*)weights);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Second(byte* weights) => Vector512.Load((float*)weights + 16);

    public static void Write(void* values, long index, float value) => ((float*)values)[index] = value;

    public static void Write(void* values, long index, Vector128<float> four) =>
        Vector128.Store(four, (float*)values + index);
}

/// <summary>A bfloat16 is the upper half of a float32, so a shift and a mask widen two neighbours: the even ones of 32
/// become one vector, the odd ones the next.</summary>
internal readonly unsafe struct BFloat16Weight : ICpuWeight
{
    private const uint Upper = 0xFFFF_0000;

    public static int Bytes => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> First(byte* weights) => (Vector512.Load((uint*)weights) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Second(byte* weights) =>
        (Vector512.Load((uint*)weights) & Vector512.Create(Upper)).AsSingle();

    public static void Write(void* values, long index, float value) =>
        ((ushort*)values)[index] = ElementConversion.ToBFloat16(value);

    public static void Write(void* values, long index, Vector128<float> four)
    {
        var rounded = ElementConversion.RoundToBFloat16(four.AsUInt32().ToVector256());
        var narrow = Vector128.Narrow(rounded.GetLower(), rounded.GetUpper());
        *(ulong*)((ushort*)values + index) = narrow.AsUInt64().ToScalar();
    }
}
