using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Mutations;

/// <summary>The list of hand-made bugs grows old with the sources: an entry whose text is gone tests nothing.</summary>
public class MutationListTests
{
    [Fact]
    public void Every_mutation_s_text_stands_exactly_once_in_its_source()
    {
        var stale = MutationReport.All.Where(mutation => mutation.SourceIn(Checkout.Root) is null)
            .Select(mutation => $"{mutation.Name} ({mutation.File})").ToArray();

        Assert.True(stale.Length == 0, "Not exactly once in their files:\n" + string.Join('\n', stale));
    }

    [Fact]
    public void Every_mutation_has_a_name_of_its_own_and_changes_something()
    {
        var names = MutationReport.All.GroupBy(mutation => mutation.Name).Where(same => same.Count() > 1);

        Assert.Empty(names.Select(same => same.Key));
        Assert.All(MutationReport.All, mutation => Assert.NotEqual(mutation.Text, mutation.Replacement));
        Assert.All(MutationReport.All, mutation => Assert.NotEmpty(mutation.Killers));
    }
}
