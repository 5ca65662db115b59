using System.Collections.Immutable;
using System.Globalization;

namespace SpotServe.Actors.Planning;

/// <summary>
/// Which degrees of parallelism a model and a number of devices allow, whatever their speed and memory.
/// </summary>
public static class LayoutConstraints
{
    /// <summary>Parses "D,P,M".</summary>
    /// <exception cref="FormatException">Not three positive integers; the message shows what is expected.</exception>
    public static LayoutDegrees Parse(string text, int batchSize)
    {
        var parts = text.Split(',', StringSplitOptions.TrimEntries);
        var degrees = new int[3];
        var valid = parts.Length == 3;
        for (var i = 0; valid && i < 3; i++)
        {
            valid = int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out degrees[i])
                && degrees[i] is >= 1 and <= 4096;
        }

        return valid
            ? new LayoutDegrees(degrees[0], degrees[1], degrees[2], batchSize)
            : throw new FormatException(
                $"Layout \"{text}\" is not D,P,M: replicas, pipeline stages, tensor ranks, " +
                "each 1 to 4096. Example: 1,2,2.");
    }

    /// <summary>
    /// Null when the degrees are possible, else one sentence that names the constraint and the nearest fit.
    /// </summary>
    public static string? Violation(LayoutDegrees wanted, int layerCount, int headCount, int deviceCount)
    {
        var nearest = Nearest(wanted, layerCount, headCount, deviceCount);
        var hint = nearest is { } fit
            ? $" Nearest that fits: {fit.Replicas},{fit.Stages},{fit.Ranks}."
            : " No layout fits without a device.";
        if (wanted.Stages > layerCount)
        {
            return $"Layout {wanted} has P = {wanted.Stages} pipeline stages, but the model has {layerCount} layers " +
                $"and each stage needs one.{hint}";
        }

        if (headCount % wanted.Ranks != 0)
        {
            return $"Layout {wanted} has M = {wanted.Ranks} tensor ranks, which do not divide the model's " +
                $"{headCount} attention heads.{hint}";
        }

        return wanted.DeviceCount > deviceCount
            ? $"Layout {wanted} needs D x P x M = {wanted.DeviceCount} devices, but there are {deviceCount}.{hint}"
            : null;
    }

    /// <summary>
    /// The possible layout with the least change of degrees; of equals, the one that uses most devices.
    /// </summary>
    public static LayoutDegrees? Nearest(LayoutDegrees wanted, int layerCount, int headCount, int deviceCount) =>
        All(layerCount, headCount, deviceCount, wanted.BatchSize)
            .OrderBy(fit => Distance(wanted, fit))
            .ThenByDescending(fit => fit.DeviceCount)
            .Select(fit => (LayoutDegrees?)fit)
            .FirstOrDefault();

    /// <summary>
    /// Layouts for when nobody asked for one, best first: a single replica over as many devices as possible, with P and
    /// M close to each other, so that both kinds of parallelism share the memory. Empty without a device.
    /// </summary>
    public static IReadOnlyList<LayoutDegrees> Single(
        int layerCount, int headCount, int deviceCount, int batchSize) =>
        [
            .. All(layerCount, headCount, deviceCount, batchSize, replicasMax: 1)
                .OrderByDescending(fit => fit.DeviceCount)
                .ThenBy(fit => Math.Abs(fit.Stages - fit.Ranks))
                .ThenByDescending(fit => fit.Stages),
        ];

    private static IEnumerable<LayoutDegrees> All(int layerCount, int headCount, int deviceCount, int batchSize,
        int replicasMax = int.MaxValue)
    {
        for (var ranks = 1; ranks <= Math.Min(headCount, deviceCount); ranks++)
        {
            if (headCount % ranks != 0) continue;
            for (var stages = 1; stages <= layerCount && stages * ranks <= deviceCount; stages++)
            {
                for (var replicas = 1; replicas <= replicasMax && replicas * stages * ranks <= deviceCount; replicas++)
                {
                    yield return new LayoutDegrees(replicas, stages, ranks, batchSize);
                }
            }
        }
    }

    private static int Distance(LayoutDegrees a, LayoutDegrees b) =>
        Math.Abs(a.Replicas - b.Replicas) + Math.Abs(a.Stages - b.Stages) + Math.Abs(a.Ranks - b.Ranks);
}

/// <summary>Turns degrees into a layout over given devices, and sizes what each device will hold.</summary>
public static class LayoutAssembly
{
    /// <summary>
    /// Places positions on devices in the devices' order: stages even, ranks of a stage next to each other.
    /// </summary>
    public static Layout InOrder(LayoutDegrees degrees, int layerCount, IReadOnlyList<DeviceId> devices)
    {
        Invariant.Holds(devices.Count >= degrees.DeviceCount);
        return new Layout(
            degrees,
            Layout.EvenStages(layerCount, degrees.Replicas, degrees.Stages),
            [.. devices.Take(degrees.DeviceCount)]);
    }

    /// <summary>Bytes of weights that a position holds.</summary>
    public static long WeightBytes(ModelSpec model, Layout layout, Position position)
    {
        var layers = layout.LayersOf(position);
        var elements = model.Layer.Sum(Elements) * layers.Count;
        var ends = new HashSet<string>();
        if (position.Stage == 0) elements += model.Front.Where(t => ends.Add(t.Name)).Sum(Elements);
        if (position.Stage == layout.Degrees.Stages - 1)
        {
            elements += model.Back.Where(t => ends.Add(t.Name)).Sum(Elements);
        }

        return elements * model.WeightType.Bytes();

        long Elements(TensorSpec tensor)
        {
            var (axis, range) = TensorSlices.Of(model, tensor, position.Rank, layout.Degrees.Ranks);
            return axis < 0 ? tensor.ElementCount : tensor.ElementCount / tensor.Shape[axis] * range.Count;
        }
    }

    /// <summary>Bytes that one KV page takes on a position: all of its layers, its share of the kv heads.</summary>
    public static long KvPageBytes(ModelSpec model, Layout layout, Position position) =>
        layout.LayersOf(position).Count
        * KvPage.Bytes(model, TensorSlices.KvHeads(model, position.Rank, layout.Degrees.Ranks).Count);

    /// <summary>
    /// KV pages of each replica: what the tightest of its devices can hold beside its weights and working buffers,
    /// and no more than a full batch of full contexts could use.
    /// </summary>
    /// <param name="memoryBytes">Usable memory of the device on a position.</param>
    /// <param name="workingBytes">Kept free on every device for activations and temporaries.</param>
    public static ImmutableArray<int> PagesPerReplica(
        ModelSpec model, Layout layout, Func<Position, long> memoryBytes, long workingBytes)
    {
        var useful = layout.Degrees.BatchSize * (long)KvPage.Count(model.ContextMax);
        return [.. Enumerable.Range(0, layout.Degrees.Replicas).Select(replica => (int)Math.Clamp(
            layout.PositionsOf(replica).Min(PagesThatFit), 0, useful))];

        long PagesThatFit(Position position) =>
            (memoryBytes(position) - WeightBytes(model, layout, position) - workingBytes)
            / KvPageBytes(model, layout, position);
    }
}
