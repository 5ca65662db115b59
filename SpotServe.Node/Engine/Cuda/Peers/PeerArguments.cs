using System.Runtime.InteropServices;

namespace SpotServe.Node.Engine.Cuda;

// The structs of peers.cuh, field by field.

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PushArguments
{
    public fixed long To[PeerEnd.RanksMax];
    public nint Sequence;
    public int Index;
    public int Ranks;
    public int Rank;
    public int HasOwners;
}

[StructLayout(LayoutKind.Sequential)]
internal struct PatienceArguments
{
    public nint Words;
    public nint Looked;
    public ulong Nanoseconds;
}

[StructLayout(LayoutKind.Sequential)]
internal struct GatherArguments
{
    public nint Logits;
    public nint To;
    public nint Flags;
    public nint Sequence;
    public PatienceArguments Patience;
    public int Index;
    public int Tokens;
    public int Width;
    public int Stride;
    public int Rank;
    public int Ranks;
    public int Parts;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct SumArguments
{
    public nint Values;
    public nint Into;
    public fixed long Exchange[PeerEnd.RanksMax];
    public fixed long Flags[PeerEnd.RanksMax];
    public PatienceArguments Patience;
    public long Count;
    public uint Number;
    public uint Step;
    public int Rank;
    public int Ranks;
    public int Adds;
}
