namespace SpotServe.Actors.Planning;

/// <summary>Tensor groups to machines, one by one.</summary>
internal sealed partial class BlockMapper
{
    /// <summary>
    /// Tensor groups matched to machines one by one, so that the holdings and not the numbering decide which of them
    /// share a machine. Their scores may count a device twice; matching the devices within and, in small fleets,
    /// exchanging groups makes up for that. Only groups for which no machine has room are spread over devices that are
    /// left: a machine that is too small for one keeps no other from staying together.
    /// </summary>
    private Pairing? Regrouped()
    {
        var (ranks, machines) = (_degrees.Ranks, _block.Machines);
        if (_block.Stages.Length > RegroupMax) return null;
        var slotsOf = Array.ConvertAll(machines, machine => machine.Length / ranks);
        // One group a machine: the bundles are the groups already.
        if (slotsOf.All(slots => slots == 1) && Bundles() is not null) return null;
        var slots = Enumerable.Range(0, machines.Length).SelectMany(m => Enumerable.Repeat(m, slotsOf[m])).ToList();
        if (slots.Count is 0 or > 4 * RegroupMax) return null;
        var groups = _block.Stages.Select(stage => Positions(stage).ToArray()).ToList();
        var stagesOf = Array.ConvertAll(machines, _ => new List<int>());
        var spread = new List<int>();
        var machineOf = MachinesOf(groups, slots);
        for (var g = 0; g < groups.Count; g++)
            (machineOf[g] is { } machine ? stagesOf[machine] : spread).Add(_block.Stages[g]);
        var value = _block.Stages.Length <= ExchangeMax
            ? GroupExchange.Improve(stagesOf, slotsOf, Value)
            : stagesOf.Select((stages, m) => stages.Count == 0 ? 0 : Value(m, stages)).Sum();
        var pairs = stagesOf.Select((stages, m) => (machines[m], PositionsOf(stages)))
            .Where(pair => pair.Item2.Length > 0).ToList();
        if (spread.Count > 0)
        {
            var left = Left(pairs);
            value += SolveInner(PositionsOf(spread), left);
            pairs.Add((left, PositionsOf(spread)));
        }

        return new Pairing(pairs, value);

        long Value(int machine, List<int> stages) => SolveInner(PositionsOf(stages), machines[machine]);

        int[] PositionsOf(List<int> stages) => [.. stages.Order().SelectMany(Positions)];
    }

    /// <summary>A machine for each group; null for those for which there is no room, of which as little as possible is
    /// reused anyway.</summary>
    private int?[] MachinesOf(List<int[]> groups, List<int> slots)
    {
        var without = Math.Max(0, groups.Count - slots.Count);
        var scores = Scores(groups);
        var columns = slots.Count + without;
        var weights = new long[groups.Count * columns];
        for (var g = 0; g < groups.Count; g++)
        {
            for (var s = 0; s < slots.Count; s++) weights[(g * columns) + s] = scores[g, slots[s]];
        }

        var slotOf = new int[groups.Count];
        _outer.Maximize(weights, groups.Count, columns, slotOf);
        return Array.ConvertAll(slotOf, slot => slot < slots.Count ? slots[slot] : (int?)null);
    }

    /// <summary>Devices that the groups which stay together do not take, when these are matched.</summary>
    private int[] Left(List<(int[] Devices, int[] Positions)> together)
    {
        var taken = new HashSet<int>();
        foreach (var (devices, positions) in together)
        {
            Grow(positions.Length);
            Solve(_inner, positions, devices, _chosen);
            for (var i = 0; i < positions.Length; i++) taken.Add(devices[_chosen[i]]);
        }

        return [.. _block.Machines.SelectMany(machine => machine).Where(device => !taken.Contains(device))];
    }
}
