using System.Runtime.InteropServices;

namespace SpotServe.Node.Weights;

/// <summary>Advice to the kernel on the pages that a range touches; a kernel that does not know it changes
/// nothing.</summary>
internal static unsafe partial class MemoryAdvice
{
    private const int AdviseDontNeed = 4;
    private const int AdviseHugePages = 14;
    private const int AdvisePopulateRead = 22;

    private static readonly long PageBytes = Environment.SystemPageSize;

    /// <summary>Reads the pages in and enters them into the page table.</summary>
    public static void Populate(byte* start, long bytes) => Advise(start, bytes, AdvisePopulateRead);

    /// <summary>Drops the pages of a mapped file; the next access brings them back.</summary>
    public static void DontNeed(byte* start, long bytes) => Advise(start, bytes, AdviseDontNeed);

    /// <summary>Backs memory that is not touched yet by large pages.</summary>
    public static void HugePages(byte* start, long bytes) => Advise(start, bytes, AdviseHugePages);

    private static void Advise(byte* start, long bytes, int advice)
    {
        var first = (nint)start / PageBytes * PageBytes;
        var end = ((nint)start + bytes + PageBytes - 1) / PageBytes * PageBytes;
        _ = MAdvise((nint)first, (nuint)(end - first), advice);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int MAdvise(nint start, nuint bytes, int advice);
}
