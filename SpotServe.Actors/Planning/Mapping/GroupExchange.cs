namespace SpotServe.Actors.Planning;

/// <summary>
/// Improves which tensor groups share a machine by exchanging them pair by pair, each time with the devices matched
/// anew. It repairs what the outer matching cannot see: two groups on one machine that want the same device.
/// </summary>
internal static class GroupExchange
{
    private const int RoundsMax = 8;

    /// <summary>Exchanges until nothing improves, or for a bounded number of rounds.</summary>
    /// <param name="stagesOf">Tensor groups per machine; changed in place.</param>
    /// <param name="slotsOf">How many groups each machine takes.</param>
    /// <param name="value">Value of a machine with some tensor groups.</param>
    /// <returns>The value in all.</returns>
    public static long Improve(List<int>[] stagesOf, int[] slotsOf, Func<int, List<int>, long> value)
    {
        var values = new long[stagesOf.Length];
        for (var m = 0; m < values.Length; m++) values[m] = stagesOf[m].Count == 0 ? 0 : value(m, stagesOf[m]);
        for (var round = 0; round < RoundsMax; round++)
        {
            var improved = false;
            for (var a = 0; a < stagesOf.Length; a++)
            {
                for (var b = 0; b < stagesOf.Length; b++)
                {
                    if (a != b) improved |= TryPair(stagesOf, slotsOf, values, value, a, b);
                }
            }

            if (!improved) break;
        }

        return values.Sum();
    }

    private static bool TryPair(
        List<int>[] stagesOf, int[] slotsOf, long[] values, Func<int, List<int>, long> value, int a, int b)
    {
        var improved = false;
        for (var x = 0; x < stagesOf[a].Count; x++)
        {
            // One more partner than b has groups: a place of b's that is still empty.
            var partners = stagesOf[b].Count + (stagesOf[b].Count < slotsOf[b] ? 1 : 0);
            for (var y = 0; y < partners && x < stagesOf[a].Count; y++)
            {
                var (left, right) = (new List<int>(stagesOf[a]), new List<int>(stagesOf[b]));
                var taken = left[x];
                if (y < right.Count)
                {
                    (left[x], right[y]) = (right[y], taken);
                }
                else
                {
                    left.RemoveAt(x);
                    right.Add(taken);
                }

                var (onA, onB) = (left.Count == 0 ? 0 : value(a, left), value(b, right));
                if (onA + onB <= values[a] + values[b]) continue;
                (stagesOf[a], stagesOf[b], values[a], values[b]) = (left, right, onA, onB);
                improved = true;
                partners = right.Count;
            }
        }

        return improved;
    }
}
