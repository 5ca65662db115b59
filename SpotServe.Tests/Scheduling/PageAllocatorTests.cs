using CsCheck;
using SpotServe.Actors;
using SpotServe.Actors.Scheduling;
using Xunit;

namespace SpotServe.Tests.Scheduling;

public sealed class PageAllocatorTests
{
    private const int Owners = 6;

    /// <summary>What happens to the pages of one owner.</summary>
    private enum Deed
    {
        Take,
        Release,
        Keep,
        ShareAll,
        SetAside,
        GiveBack,
    }

    [Fact]
    public void Page_is_free_or_cached_or_used_by_those_that_have_it_or_set_aside_under_any_traffic() =>
        Gen.Select(
            Gen.Int[1, 40],
            Gen.Select(Gen.Int[0, Owners - 1], Gen.Int[0, 12], Gen.Enum<Deed>()).Array[0, 80])
            .Sample((pageCount, deeds) =>
            {
                var traffic = new Traffic(pageCount);
                foreach (var (owner, count, deed) in deeds) traffic.Do(owner, count, deed);
            });

    [Fact]
    public void Page_is_given_back_as_often_as_it_was_taken_and_no_more()
    {
        var allocator = new PageAllocator(2);
        List<int> table = [];
        allocator.TryTake(count: 1, table);
        int[] pages = [.. table];

        allocator.Release(table);

        Assert.Throws<InvariantException>(() => allocator.Release([.. pages]));
    }

    [Fact]
    public void Content_that_nobody_has_used_for_the_longest_time_makes_room_first()
    {
        var allocator = new PageAllocator(4);
        var (one, other) = (Kept(allocator, pages: 2, name: 1), Kept(allocator, pages: 2, name: 2));
        allocator.Release([.. one]);
        allocator.Release([.. other]);
        // Used once more since.
        allocator.Share(one[0]);
        allocator.Release([one[0]]);

        List<int> taken = [];
        allocator.TryTake(3, taken);

        // Of a prompt the end goes before its start.
        Assert.Equal([one[1], other[1], other[0]], taken);
        Assert.True(allocator.TryFind(Key(1, 0), out _));
        Assert.False(allocator.TryFind(Key(2, 0), out _));
    }

    private static List<int> Kept(PageAllocator allocator, int pages, int name)
    {
        List<int> table = [];
        allocator.TryTake(pages, table);
        for (var i = 0; i < pages; i++) allocator.Keep(table[i], Key(name, i));
        return table;
    }

    private static PrefixKey Key(int name, int page) => new((ulong)name, (ulong)page);

    private sealed class Traffic(int pageCount)
    {
        private readonly PageAllocator _allocator = new(pageCount);
        private readonly List<int>[] _tables = [.. Enumerable.Range(0, Owners).Select(_ => new List<int>())];
        private readonly List<int> _aside = [];
        private readonly Dictionary<PrefixKey, long> _births = [];
        private int _lastKey;

        public void Do(int owner, int count, Deed deed)
        {
            var table = _tables[owner];
            switch (deed)
            {
                case Deed.Take:
                    Assert.Equal(count <= _allocator.FreeCount, _allocator.TryTake(count, table));
                    break;
                case Deed.Release:
                    _allocator.Release(table);
                    break;
                case Deed.Keep:
                    foreach (var page in table.Where(page => !_allocator.IsKept(page)).Take(count).ToArray())
                    {
                        var key = Key(0, ++_lastKey);
                        _allocator.Keep(page, key);
                        _births[key] = _allocator.BirthOf(page);
                    }

                    break;
                case Deed.ShareAll:
                    foreach (var key in _births.Keys.ToArray()) Share(key, table);
                    break;
                case Deed.SetAside:
                    _aside.AddRange(_allocator.SetAside(count, pageCount));
                    break;
                default:
                    _allocator.GiveBack([.. _aside]);
                    _aside.Clear();
                    break;
            }

            Check();
        }

        private void Share(PrefixKey key, List<int> table)
        {
            if (!_allocator.TryFind(key, out var page)) return;
            // It is still what it was when it was kept.
            Assert.Equal(_births[key], _allocator.BirthOf(page));
            if (table.Contains(page)) return;
            _allocator.Share(page);
            table.Add(page);
        }

        private void Check()
        {
            var uses = new int[pageCount];
            foreach (var page in _tables.SelectMany(table => table)) uses[page]++;
            _allocator.CheckLaws(uses);
            Assert.Equal(uses.Count(count => count > 0), _allocator.UsedCount);
            Assert.Equal(_aside.Count, _allocator.AsideCount);
        }
    }
}
