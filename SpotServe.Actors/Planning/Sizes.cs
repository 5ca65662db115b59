using System.Globalization;

namespace SpotServe.Actors.Planning;

/// <summary>Byte counts and durations as people read them.</summary>
public static class Sizes
{
    /// <summary>E.g. "512 B", "1.50 MiB", "74.50 GiB".</summary>
    public static string Text(long bytes)
    {
        var size = Math.Abs((double)bytes);
        var sign = bytes < 0 ? "-" : "";
        var (divisor, unit) = size switch
        {
            < 1L << 10 => (1, "B"),
            < 1L << 20 => (1L << 10, "KiB"),
            < 1L << 30 => (1L << 20, "MiB"),
            < 1L << 40 => (1L << 30, "GiB"),
            _ => (1L << 40, "TiB"),
        };
        var digits = divisor == 1 ? "0" : "0.00";
        return sign + (size / divisor).ToString(digits, CultureInfo.InvariantCulture) + " " + unit;
    }

    /// <summary>E.g. "420 ms", "12.345 s".</summary>
    public static string Text(TimeSpan time) => time < TimeSpan.FromSeconds(1)
        ? time.TotalMilliseconds.ToString("0.###", CultureInfo.InvariantCulture) + " ms"
        : time.TotalSeconds.ToString("0.000", CultureInfo.InvariantCulture) + " s";
}
