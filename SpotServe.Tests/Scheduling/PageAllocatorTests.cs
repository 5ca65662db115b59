using CsCheck;
using SpotServe.Actors;
using SpotServe.Actors.Scheduling;
using Xunit;

namespace SpotServe.Tests.Scheduling;

public sealed class PageAllocatorTests
{
    [Fact]
    public void Pages_are_conserved_under_any_traffic() =>
        Gen.Select(Gen.Int[1, 40], Gen.Select(Gen.Int[1, 5], Gen.Int[0, 12], Gen.Bool).Array[0, 60])
            .Sample((pageCount, operations) =>
            {
                var allocator = new PageAllocator(pageCount);
                var tables = Enumerable.Range(0, 6).Select(_ => new List<int>()).ToArray();
                foreach (var (owner, count, releases) in operations)
                {
                    var free = allocator.FreeCount;
                    if (releases) Assert.Equal(tables[owner].Count, allocator.Release(owner, [.. Take(tables[owner])]));
                    else Assert.Equal(count <= free, allocator.TryTake(owner, count, tables[owner]));
                    allocator.CheckLaws();
                    Assert.Equal(tables.Sum(table => table.Count), allocator.UsedCount);
                    Assert.All(tables[owner], page => Assert.Equal(owner, allocator.OwnerOf(page)));
                }

                static List<int> Take(List<int> table)
                {
                    List<int> taken = [.. table];
                    table.Clear();
                    return taken;
                }
            });

    [Fact]
    public void A_page_is_freed_by_its_owner_only()
    {
        var allocator = new PageAllocator(2);
        List<int> table = [];
        allocator.TryTake(owner: 1, count: 2, table);

        Assert.Throws<InvariantException>(() => allocator.Release(owner: 2, table));
    }
}
