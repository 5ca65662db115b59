using System.Collections.Immutable;
using SpotServe.Actors.Scheduling;

namespace SpotServe.Actors.Gateway;

/// <summary>
/// Which replica was last sent a prompt that begins alike: it probably still holds that part's pages. What it says is a
/// preference and need not be true; replicas find out for themselves. The parts that were not asked for or noted for
/// the longest time are forgotten. Not thread-safe.
/// </summary>
internal sealed class PrefixRoutes(int partsMax)
{
    /// <summary>Tokens of a part: less in common is not worth a longer queue.</summary>
    internal const int PartTokens = 128;

    /// <summary>Parts of a prompt that are looked at.</summary>
    private const int PromptPartsMax = 32;

    private static readonly PrefixKey Root = PrefixKey.Root("routes");

    private readonly Dictionary<PrefixKey, LinkedListNode<Part>> _parts = [];
    private readonly LinkedList<Part> _oldestFirst = [];

    /// <summary>The keys of a prompt's first parts, the shortest first.</summary>
    public static ImmutableArray<PrefixKey> KeysOf(ImmutableArray<int> prompt)
    {
        var parts = Math.Min(PromptPartsMax, prompt.Length / PartTokens);
        var keys = ImmutableArray.CreateBuilder<PrefixKey>(parts);
        var key = Root;
        for (var start = 0; start < parts * PartTokens; start += KvPage.Tokens)
        {
            key = key.Next(prompt.AsSpan().Slice(start, KvPage.Tokens), 0);
            if ((start + KvPage.Tokens) % PartTokens == 0) keys.Add(key);
        }

        return keys.MoveToImmutable();
    }

    /// <summary>The replica of an epoch that was sent the most of such a prompt; null when none is known.</summary>
    public int? Find(ImmutableArray<PrefixKey> keys, Epoch epoch)
    {
        for (var i = keys.Length - 1; i >= 0; i--)
        {
            if (!_parts.TryGetValue(keys[i], out var node) || node.Value.Epoch != epoch) continue;
            return node.Value.Replica;
        }

        return null;
    }

    /// <summary>Notes where a prompt goes.</summary>
    public void Note(ImmutableArray<PrefixKey> keys, Epoch epoch, int replica)
    {
        foreach (var key in keys)
        {
            if (_parts.Remove(key, out var known)) _oldestFirst.Remove(known);
            if (_parts.Count == partsMax)
            {
                _parts.Remove(_oldestFirst.First!.Value.Key);
                _oldestFirst.RemoveFirst();
            }

            _parts.Add(key, _oldestFirst.AddLast(new Part(key, epoch, replica)));
        }

        Invariant.Holds(_parts.Count == _oldestFirst.Count);
    }

    private sealed record Part(PrefixKey Key, Epoch Epoch, int Replica);
}
