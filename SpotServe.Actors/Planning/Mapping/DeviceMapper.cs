namespace SpotServe.Actors.Planning;

/// <summary>
/// Places devices on the positions of a new layout so that the most bytes of weights and KV pages are reused where they
/// are. Equal choices leave devices where they are; equal inputs give equal outputs.
/// </summary>
/// <remarks>Maximum-weight bipartite matching in one or two levels, as in SpotServe, ASPLOS '24, section 3.3.</remarks>
internal static class DeviceMapper
{
    /// <summary>Maps a layout.</summary>
    /// <param name="levels">Two levels fall back to one where the machines do not divide into groups of
    /// positions.</param>
    /// <exception cref="NoDevicesException">There is no machine.</exception>
    /// <exception cref="NoLayoutException">There are fewer devices (of a kind that a stage needs) than
    /// positions.</exception>
    /// <exception cref="PlanningException">Duplicate names, or ranks that do not divide the heads.</exception>
    public static Mapping Map(MappingProblem problem, MappingLevels levels = MappingLevels.Two) =>
        Map(problem, levels, BlockMapper.PairsMax);

    /// <param name="pairsMax">Pairs that are matched in a matrix; more are matched by kinds. Both reuse the same
    /// bytes.</param>
    internal static Mapping Map(MappingProblem problem, MappingLevels levels, long pairsMax)
    {
        Require(problem);
        var devices = problem.Instances.SelectMany(instance => instance.Devices).ToArray();
        var table = new ReuseTable(problem, devices);
        var deviceOf = new int[problem.Degrees.DeviceCount];
        var used = levels;
        foreach (var block in MappingBlock.Of(problem))
        {
            var solver = new BlockMapper(table, block, problem.Degrees, pairsMax);
            if (levels == MappingLevels.Two && solver.TwoLevels(deviceOf)) continue;
            solver.OneLevel(deviceOf);
            used = MappingLevels.One;
        }

        var reused = 0L;
        for (var position = 0; position < deviceOf.Length; position++)
        {
            reused += table.Bytes(deviceOf[position], position);
        }

        var layout = new Layout(problem.Degrees, problem.StageLayers, [.. deviceOf.Select(device => devices[device])]);
        return new Mapping(layout, reused, used);
    }

    /// <summary>Bytes that a given placement reuses: to compare other placements with the mapper's.</summary>
    public static long ReusedBytes(MappingProblem problem, IReadOnlyList<DeviceId> placement)
    {
        var table = new ReuseTable(problem, placement);
        return Enumerable.Range(0, placement.Count).Sum(position => table.Bytes(position, position));
    }

    private static void Require(MappingProblem problem)
    {
        Instance.Require(problem.Instances);
        var degrees = problem.Degrees;
        Inputs.AtLeast(degrees.Replicas, 1, "The number of replicas");
        Inputs.AtLeast(degrees.Stages, 1, "The number of stages");
        problem.Geometry.RequireRanks(degrees.Ranks);
        if (problem.StageLayers.Length != degrees.Replicas * degrees.Stages)
        {
            throw new PlanningInputException(
                "The number of stage ranges",
                problem.StageLayers.Length,
                $"D x P = {degrees.Replicas * degrees.Stages}");
        }

        if (!problem.StageKinds.IsEmpty && problem.StageKinds.Length != problem.StageLayers.Length)
        {
            throw new PlanningInputException(
                "The number of stage kinds", problem.StageKinds.Length, $"none or {problem.StageLayers.Length}");
        }
    }
}

/// <summary>Positions and machines that may only be mapped to each other: those of one device kind.</summary>
/// <param name="Stages">Tensor groups, as flat D x P indices, rising.</param>
/// <param name="Machines">Per machine, the indices of its devices.</param>
internal sealed record MappingBlock(int[] Stages, int[][] Machines)
{
    /// <summary>Devices of one host up to which its instances are taken for one machine.</summary>
    private const int HostDevicesMax = 64;

    public static IEnumerable<MappingBlock> Of(MappingProblem problem)
    {
        var machines = MachinesOf(problem);
        var stages = Enumerable.Range(0, problem.StageLayers.Length);
        var blocks = problem.StageKinds.IsEmpty
            ? [new MappingBlock([.. stages], [.. machines.Select(m => m.Devices)])]
            : stages.GroupBy(stage => problem.StageKinds[stage]).Select(kind => new MappingBlock(
                [.. kind], [.. machines.Where(m => m.Kind == kind.Key).Select(m => m.Devices)])).ToArray();
        foreach (var block in blocks)
        {
            var (need, have) = (block.Stages.Length * problem.Degrees.Ranks, block.Machines.Sum(m => m.Length));
            if (need > have)
            {
                var kind = problem.StageKinds.IsEmpty ? "" : $" of kind {problem.StageKinds[block.Stages[0]]}";
                throw new NoLayoutException(
                    $"{problem.Degrees} has {need} positions{kind}, {have} devices{kind} are there. "
                    + "Use fewer replicas.");
            }
        }

        return blocks;
    }

    /// <summary>Instances are machines; where none has as many devices as a tensor group, those of one host are one, so
    /// that the group stays on it.</summary>
    private static List<(string Kind, int[] Devices)> MachinesOf(MappingProblem problem)
    {
        var first = 0;
        var instances = new List<(Instance Instance, int[] Devices)>();
        foreach (var instance in problem.Instances)
        {
            instances.Add((instance, [.. Enumerable.Range(first, instance.DeviceCount)]));
            first += instance.DeviceCount;
        }

        if (problem.Degrees.Ranks <= problem.Instances.Max(instance => instance.DeviceCount))
            return instances.ConvertAll(one => (one.Instance.Kind.Name, one.Devices));
        return
        [
            .. instances.GroupBy(one => (one.Instance.Kind.Name, Host: one.Instance.Host ?? one.Instance.Node))
                .SelectMany(host => host.Sum(one => one.Devices.Length) > HostDevicesMax
                    ? host.Select(one => (one.Instance.Kind.Name, one.Devices))
                    : [(host.Key.Name, [.. host.SelectMany(one => one.Devices)])]),
        ];
    }
}
