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
    public void Gpu_member_whose_only_control_member_was_started_anew_gives_itself_up_at_once() => Assert.Equal(
        [Gpu],
        DowningPolicy.Decide(View(Gpu, isControl: false, (Control[0], 1)) with { Replaced = [Control[0]] }));

    [Fact]
    public void Only_seed_never_gives_itself_up_whatever_happens_to_the_gpu_members() =>
        Assert.Equal([Gpu], DowningPolicy.Decide(View(Control[0], isControl: true, (Control[0], 0)) with
        {
            UnreachableGpus = Silences((Gpu, 7), (At("gpu2"), 6)),
        }));

    [Fact]
    public void Majority_of_control_members_gives_up_the_one_that_is_silent()
    {
        Assert.Equal(
            [Control[2]],
            Decide(Control[0], isControl: true, (Control[0], 0), (Control[1], 1), (Control[2], 10)));
        Assert.Empty(Decide(Control[0], isControl: true, (Control[0], 0), (Control[1], 1), (Control[2], 9)));
    }

    [Fact]
    public void Control_member_that_hears_too_few_others_gives_itself_up_before_they_give_it_up()
    {
        Assert.Equal(
            [Control[2]],
            Decide(Control[2], isControl: true, (Control[0], 8), (Control[1], 8), (Control[2], 0)));
        Assert.Empty(Decide(Control[0], isControl: true, (Control[0], 0), (Control[1], 0), (Control[2], 9)));
        Assert.True(DowningPolicy.MinoritySilenceMax < DowningPolicy.ControlSilenceMax);
    }

    [Fact]
    public void Exactly_one_side_of_two_control_members_survives()
    {
        Assert.Equal([Control[1]], Decide(Control[0], isControl: true, (Control[0], 0), (Control[1], 20)));
        Assert.Equal([Control[1]], Decide(Control[1], isControl: true, (Control[0], 20), (Control[1], 0)));
    }

    [Fact]
    public void Control_member_that_was_started_anew_is_given_up_at_once_and_counts_for_nobody()
    {
        var two = View(Control[1], isControl: true, (Control[0], 20), (Control[1], 0));
        var three = View(Control[0], isControl: true, (Control[0], 0), (Control[1], 20), (Control[2], 20));

        Assert.Equal([Control[0]], DowningPolicy.Decide(two with { Replaced = [Control[0]] }));
        Assert.Equal([Control[2], Control[1]], DowningPolicy.Decide(three with { Replaced = [Control[1]] }));
    }

    private static Address At(string host) => new("akka.tcp", "spotserve", host, 5110);

    private static ImmutableArray<Address> Decide(
        Address self, bool isControl, params (Address Address, double Seconds)[] controls) =>
        DowningPolicy.Decide(View(self, isControl, controls));

    private static DowningView View(
        Address self, bool isControl, params (Address Address, double Seconds)[] controls) => new(
            self, isControl, Silences(controls), ImmutableDictionary<Address, TimeSpan>.Empty, []);

    private static ImmutableDictionary<Address, TimeSpan> Silences(
        params (Address Address, double Seconds)[] silences) =>
        silences.ToImmutableDictionary(pair => pair.Address, pair => TimeSpan.FromSeconds(pair.Seconds));
}
