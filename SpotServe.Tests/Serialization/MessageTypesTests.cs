using System.Collections.Immutable;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.Serialization;

public sealed class MessageTypesTests
{
    [Fact]
    public void List_holds_the_messages_and_what_their_fields_reach()
    {
        var types = MessageTypes.OfSpotServe;

        Assert.Contains(typeof(ReplicaProtocol.Submit), types.Messages);
        Assert.True(types.IsKnown(typeof(Epoch)));
        Assert.True(types.IsKnown(typeof(FinishReason)));
        Assert.True(types.IsKnown(typeof(ImmutableArray<int>)));
        Assert.DoesNotContain(typeof(Epoch), types.Messages);
    }

    [Fact]
    public void Order_is_that_of_the_names_whatever_the_order_of_assemblies()
    {
        var actors = typeof(MessageTypes).Assembly;
        var tests = typeof(MessageTypesTests).Assembly;

        var one = new MessageTypes(actors, tests);
        var other = new MessageTypes(tests, actors);

        Assert.Equal(one.All, other.All);
        Assert.Equal(one.Fingerprint, other.Fingerprint);
        var names = one.All.Select(t => t.ToString()).ToArray();
        Assert.Equal(names.Order(StringComparer.Ordinal), names);
    }

    [Fact]
    public void Local_messages_are_not_on_the_list()
    {
        var types = new MessageTypes(typeof(TestProtocol).Assembly);

        Assert.False(types.IsKnown(typeof(TestProtocol.Piped)));
        Assert.False(types.IsKnown(typeof(Exception)));
    }
}
