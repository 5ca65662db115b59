using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Hosting;
using Xunit;

namespace SpotServe.Tests.Hosting;

/// <summary>Whom the cluster gives up, from what control members see for themselves.</summary>
public sealed class DowningPolicyTests
{
    private static readonly Address[] Control = [.. Enumerable.Range(1, 3).Select(i => At($"control{i}"))];
    private static readonly Address Gpu = At("gpu1");

    [Fact]
    public void Gpu_member_gives_itself_up_only_when_no_control_member_answers()
    {
        Assert.Empty(Decide(Gpu, isControl: false, (Control[0], 60), (Control[1], 0)));
        Assert.Equal([Gpu], Decide(Gpu, isControl: false, (Control[0], 60), (Control[1], 13)));
        Assert.Empty(Decide(Gpu, isControl: false));
    }

    [Fact]
    public void Only_seed_never_gives_itself_up_whatever_happens_to_the_gpu_members() =>
        Assert.Equal([Gpu], DowningPolicy.Decide(new DowningView(
            Control[0], true, Silences((Control[0], 0)), Silences((Gpu, 7), (At("gpu2"), 6)))));

    [Fact]
    public void Majority_of_control_members_gives_up_the_one_that_is_silent()
    {
        Assert.Equal(
            [Control[2]], Decide(Control[0], isControl: true, (Control[0], 0), (Control[1], 1), (Control[2], 12)));
        Assert.Empty(Decide(Control[0], isControl: true, (Control[0], 0), (Control[1], 1), (Control[2], 11)));
    }

    [Fact]
    public void Control_member_that_hears_too_few_others_gives_itself_up() =>
        Assert.Equal(
            [Control[2]],
            Decide(Control[2], isControl: true, (Control[0], 20), (Control[1], 20), (Control[2], 0)));

    [Fact]
    public void Exactly_one_side_of_two_control_members_survives()
    {
        Assert.Equal([Control[1]], Decide(Control[0], isControl: true, (Control[0], 0), (Control[1], 20)));
        Assert.Equal([Control[1]], Decide(Control[1], isControl: true, (Control[0], 20), (Control[1], 0)));
    }

    private static Address At(string host) => new("akka.tcp", "spotserve", host, 5110);

    private static ImmutableArray<Address> Decide(
        Address self, bool isControl, params (Address Address, double Seconds)[] controls) =>
        DowningPolicy.Decide(new DowningView(
            self, isControl, Silences(controls), ImmutableDictionary<Address, TimeSpan>.Empty));

    private static ImmutableDictionary<Address, TimeSpan> Silences(
        params (Address Address, double Seconds)[] silences) =>
        silences.ToImmutableDictionary(pair => pair.Address, pair => TimeSpan.FromSeconds(pair.Seconds));
}
