using System.Diagnostics;
using System.Globalization;

namespace SpotServe.Node.Lifetime;

/// <summary>
/// Where the time from the process's start to a device's first step goes: told once, as one line. What is reached after
/// that is not counted. Thread-safe.
/// </summary>
internal sealed class StartTimeline
{
    private readonly TimeProvider _clock;
    private readonly string _device;
    private readonly Action<string> _say;
    private readonly DateTimeOffset _start;
    private readonly Lock _gate = new();
    private readonly List<string> _phases = [];
    private DateTimeOffset _last;
    private bool _isOver;

    /// <param name="start">Of the process.</param>
    public StartTimeline(TimeProvider clock, DateTimeOffset start, string device, Action<string> say)
    {
        (_clock, _start, _device, _say) = (clock, start, device, say);
        _last = start;
    }

    /// <summary>When this process started.</summary>
    public static DateTimeOffset ProcessStart()
    {
        using var process = Process.GetCurrentProcess();
        return process.StartTime.ToUniversalTime();
    }

    /// <summary>A phase ends now; it began where the one before ended.</summary>
    /// <param name="bytes">What was moved in it, where its rate says something.</param>
    public void Reached(string phase, long bytes = 0)
    {
        lock (_gate) Add(phase, bytes);
    }

    /// <summary>The last phase ends now; tells all of them.</summary>
    public void End(string phase)
    {
        string line;
        lock (_gate)
        {
            if (_isOver) return;
            Add(phase, bytes: 0);
            _isOver = true;
            line = string.Create(
                CultureInfo.InvariantCulture,
                $"start of {_device}: {string.Join(", ", _phases)}; {(_last - _start).TotalSeconds:0.00} s in all");
        }

        _say(line);
    }

    private void Add(string phase, long bytes)
    {
        if (_isOver) return;
        var now = _clock.GetUtcNow();
        var seconds = (now - _last).TotalSeconds;
        _last = now;
        var rate = bytes == 0 ? "" : string.Create(
            CultureInfo.InvariantCulture, $" ({bytes / 1e6:0} MB, {bytes / 1e9 / Math.Max(seconds, 1e-9):0.0} GB/s)");
        _phases.Add(string.Create(CultureInfo.InvariantCulture, $"{phase} {seconds:0.00} s{rate}"));
    }
}
