using System.Runtime.InteropServices;

namespace SpotServe.Actors.DataPlane;

/// <summary>How far a thread goes before others.</summary>
internal enum Urgency
{
    /// <summary>As the runtime's highest priority, which Linux takes no notice of.</summary>
    Runtime,

    /// <summary>More of the processor than normal threads get.</summary>
    Favoured,

    /// <summary>Before all normal threads of the machine, at once.</summary>
    RealTime,
}

/// <summary>
/// Gives a thread the highest priority that the platform and this process's rights allow. Only for threads that wait
/// almost always. On Linux the real-time class and negative nice values need CAP_SYS_NICE or a limit that allows them.
/// </summary>
internal static partial class ThreadUrgency
{
    private const int PolicyNormal = 0;
    private const int PolicyRoundRobin = 2;

    /// <summary>Processes and threads that this one starts are normal ones.</summary>
    private const int ResetOnFork = 0x4000_0000;

    private const int PriorityOfProcess = 0;
    private const int CallingThread = 0;
    private const int NiceMost = -20;

    /// <summary>Raises the calling thread.</summary>
    /// <returns>What it got.</returns>
    public static Urgency Raise()
    {
        Thread.CurrentThread.Priority = ThreadPriority.Highest;
        if (!OperatingSystem.IsLinux()) return Urgency.Runtime;
        // The lowest real-time priority is above everything normal and below what the machine itself relies on.
        var lowest = 1;
        if (SetScheduler(CallingThread, PolicyRoundRobin | ResetOnFork, in lowest) == 0) return Urgency.RealTime;
        // Else what it starts would inherit the nice value.
        var none = 0;
        _ = SetScheduler(CallingThread, PolicyNormal | ResetOnFork, in none);
        return SetPriority(PriorityOfProcess, CallingThread, NiceMost) == 0 ? Urgency.Favoured : Urgency.Runtime;
    }

    [LibraryImport("libc", EntryPoint = "sched_setscheduler")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetScheduler(int thread, int policy, in int priority);

    [LibraryImport("libc", EntryPoint = "setpriority")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetPriority(int which, int thread, int nice);
}
