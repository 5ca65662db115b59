using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace SpotServe.Actors;

/// <summary>Checks of limits when they are set, with one wording everywhere.</summary>
public static class Bounds
{
    /// <summary>The value, when it lies between both ends or on one of them.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not; says its name, the value and both ends.</exception>
    public static T Between<T>(T value, T min, T max, [CallerMemberName] string name = "")
        where T : INumber<T> => value >= min && value <= max
            ? value
            : throw new ArgumentOutOfRangeException(name, value, Say($"{name} must be {min} to {max}."));

    /// <summary>The time, when it is longer than zero and at most <paramref name="max"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is not.</exception>
    public static TimeSpan Positive(TimeSpan value, TimeSpan max, [CallerMemberName] string name = "") =>
        value > TimeSpan.Zero && value <= max
            ? value
            : throw new ArgumentOutOfRangeException(
                name, value, Say($"{name} must be longer than zero and at most {max}."));

    private static string Say(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
