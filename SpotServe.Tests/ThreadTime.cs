using System.Runtime.InteropServices;

namespace SpotServe.Tests;

/// <summary>Processor time of one thread, by Linux's clock: other work of the machine does not add to it.</summary>
internal static partial class ThreadTime
{
    private const int ThreadProcessorTime = 3;   // CLOCK_THREAD_CPUTIME_ID of <time.h>

    /// <returns>What the calling thread has spent on a processor since it began.</returns>
    public static TimeSpan OfThisThread()
    {
        if (ReadClock(ThreadProcessorTime, out var time) != 0) throw new InvalidOperationException("The clock failed.");
        return TimeSpan.FromSeconds(time.Seconds) + new TimeSpan(time.Nanoseconds / TimeSpan.NanosecondsPerTick);
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int ReadClock(int clock, out Time time);

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Time
    {
        public readonly long Seconds;
        public readonly long Nanoseconds;
    }
}
