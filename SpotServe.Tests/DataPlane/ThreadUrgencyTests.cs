using SpotServe.Actors.DataPlane;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class ThreadUrgencyTests
{
    private const int PriorityField = 17;

    /// <summary>What the kernel gives a thread that a real-time one starts, however nice the process is.</summary>
    private const int Normal = 20;

    [Fact]
    public void Thread_goes_before_normal_ones_where_its_process_may_and_others_are_left_alone()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Priorities of threads are read as Linux shows them.");
        Urgency? raised = null;
        var (before, after, child) = (0, 0, 0);
        var thread = new Thread(() =>
        {
            before = Priority();
            raised = ThreadUrgency.Raise();
            after = Priority();
            var started = new Thread(() => child = Priority());
            started.Start();
            started.Join();
        });

        thread.Start();
        thread.Join();

        // As the kernel counts: real-time ones are below zero, of the others less goes first.
        if (raised == Urgency.RealTime) Assert.True(after < 0, $"its priority is {after}");
        if (raised == Urgency.Favoured) Assert.Equal(0, after);
        Assert.Equal(raised == Urgency.RealTime ? Normal : before, child);
        Assert.Equal(before, Priority());
    }

    private static int Priority()
    {
        var stat = File.ReadAllText("/proc/thread-self/stat");
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return int.Parse(fields[PriorityField - 2], System.Globalization.CultureInfo.InvariantCulture);
    }
}
