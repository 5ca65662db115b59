using System.Globalization;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// What --device, --dtype and --numerics may be. The node checks them, and so does who starts nodes with them: a node
/// that ends for a wrong word has been waited for already.
/// </summary>
public static class EngineValues
{
    public const string DeviceName = "--device";
    public const string DtypeName = "--dtype";
    public const string NumericsName = "--numerics";

    /// <summary>No machine has more GPUs than this.</summary>
    public const int GpusMax = 64;

    private const string Gpu = "cuda";

    /// <summary>Checks that a value is one of a closed set.</summary>
    /// <exception cref="UsageException">It is none of them; names them all.</exception>
    public static string OneOf(string option, string value, params ReadOnlySpan<string> allowed)
    {
        if (allowed.Contains(value)) return value;
        throw new UsageException(
            $"{option} is {value}; it must be {string.Join(", ", allowed[..^1].ToArray())} or {allowed[^1]}.");
    }

    /// <summary>Checks --dtype.</summary>
    /// <exception cref="UsageException">See <see cref="OneOf"/>.</exception>
    public static string Dtype(string value) => OneOf(DtypeName, value, "auto", "float32", "float16", "bfloat16");

    /// <summary>Checks --numerics.</summary>
    /// <exception cref="UsageException">See <see cref="OneOf"/>.</exception>
    public static string Numerics(string value) => OneOf(NumericsName, value, "invariant", "fast");

    /// <summary>Checks --device, also against the GPUs that this machine has.</summary>
    /// <param name="count">Devices from the named one on.</param>
    /// <param name="gpus">Finds out how many GPUs there are; null: no driver. Asked only where a GPU is named.</param>
    /// <exception cref="UsageException">It is no device's name, or none of this machine's.</exception>
    public static string Device(string value, int count, Func<int?> gpus)
    {
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(gpus);
        if (value == "cpu") return value;
        var index = Index(value) ?? throw new UsageException(
            $"{DeviceName} is {value}; it must be cpu, cuda or cuda:N with N from 0 to {GpusMax - 1}.");
        return gpus() switch
        {
            null => throw new UsageException(
                $"{DeviceName} is {value}, and this machine has no NVIDIA driver that could be loaded " +
                $"({Gpus.Library}). Install it, or leave the option out: cpu works everywhere."),
            0 => throw new UsageException(
                $"{DeviceName} is {value}, and the NVIDIA driver finds no GPU (nvidia-smi shows those that are " +
                "there, CUDA_VISIBLE_DEVICES hides some). Leave the option out: cpu works everywhere."),
            var there when index + count > there => throw new UsageException(string.Create(
                CultureInfo.InvariantCulture,
                $"{DeviceName} {value} takes GPU {index} to {index + count - 1}, and this machine has {there}, ") +
                "counted from 0. Name a lower one, or fewer --devices."),
            _ => value,
        };
    }

    /// <summary>Devices of a node: what was given, or all GPUs of its machine where no single one is named. One process
    /// has them all, so that they reach each other's memory.</summary>
    /// <param name="given">--devices; null where it was left out.</param>
    /// <exception cref="UsageException">It is out of range.</exception>
    public static int Devices(string device, int? given, Func<int?> gpus)
    {
        ArgumentNullException.ThrowIfNull(gpus);
        if (given is { } count)
        {
            return count is >= 1 and <= GpusMax ? count : throw new UsageException(string.Create(
                CultureInfo.InvariantCulture, $"--devices is {count}; it must be 1 to {GpusMax}."));
        }

        return device == Gpu ? Math.Clamp(gpus() ?? 1, 1, GpusMax) : 1;
    }

    private static int? Index(string value)
    {
        if (value == Gpu) return 0;
        return value.StartsWith(Gpu + ":", StringComparison.Ordinal)
            && int.TryParse(
                value.AsSpan(Gpu.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var index)
            && index < GpusMax
                ? index
                : null;
    }
}
