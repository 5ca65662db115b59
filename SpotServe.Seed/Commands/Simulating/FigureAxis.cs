using System.Collections.Immutable;
using System.Globalization;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>How values lie on an axis: evenly, or by their logarithm where they span more than a person can tell apart
/// on an even one.</summary>
/// <param name="Least">Where the axis begins, as it is drawn: a logarithm on a logarithmic axis.</param>
/// <param name="Most">Where it ends.</param>
internal sealed record FigureAxis(bool IsLogarithmic, double Least, double Most)
{
    /// <summary>On an even axis the smallest value would be less than a thirtieth of the largest.</summary>
    private const double SpanMax = 30;

    /// <summary>Share of an axis that is kept free at its ends.</summary>
    private const double Margin = 0.08;

    /// <summary>Powers of ten on an axis that leaves room for 2 and 5 between them.</summary>
    private const double DecadesMax = 2.5;

    /// <param name="isFromZero">Whether an even axis begins at 0.</param>
    public static FigureAxis Of(IEnumerable<double> values, bool isFromZero)
    {
        var all = values.Where(double.IsFinite).DefaultIfEmpty(0).ToList();
        var (least, most) = (all.Min(), all.Max());
        var isLogarithmic = least > 0 && most / least >= SpanMax;
        if (isLogarithmic) (least, most) = (Math.Log10(least), Math.Log10(most));
        var room = Math.Max((most - least) * Margin, most == least ? Math.Max(1, Math.Abs(most) * Margin) : 0);
        return new FigureAxis(isLogarithmic, !isLogarithmic && isFromZero ? 0 : least - room, most + room);
    }

    /// <summary>Where a value is drawn.</summary>
    public double At(double value) => IsLogarithmic ? Math.Log10(value) : value;

    /// <summary>Ticks of a logarithmic axis: powers of ten, on a short one 2 and 5 times these as well; a tick without
    /// a label is a minor one.</summary>
    public ImmutableArray<(double At, string? Label)> Ticks()
    {
        var isShort = Most - Least <= DecadesMax;
        var ticks = ImmutableArray.CreateBuilder<(double, string?)>();
        for (var power = (int)Math.Floor(Least); power <= Most; power++)
        {
            for (var digit = 1; digit <= 9; digit++)
            {
                var value = digit * Math.Pow(10, power);
                var at = Math.Log10(value);
                if (at < Least || at > Most) continue;
                ticks.Add((at, digit == 1 || (isShort && digit is 2 or 5) ? Text(value) : null));
            }
        }

        return ticks.ToImmutable();
    }

    private static string Text(double value) =>
        value.ToString(value >= 1 ? "#,0" : "0.#####", CultureInfo.InvariantCulture);
}
