using System.Globalization;
using Microsoft.AspNetCore.Components;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Dashboard.Components;

/// <summary>The planner's answers to wishes are shown as they are: they say what is wrong and what would do.</summary>
public sealed partial class WishPanel
{
    private int _replicas = 1;
    private int _stages = 2;
    private int _ranks = 2;
    private string _objective = "";
    private double _targetSeconds = 10;
    private double _sharePercent = 99;
    private string _said = "";

    [Inject]
    internal IClusterOperator Cluster { get; set; } = null!;

    protected override void OnInitialized()
    {
        base.OnInitialized();
        if (Now.Degrees?.Split(',') is not [var replicas, var stages, var ranks]) return;
        _replicas = int.Parse(replicas, CultureInfo.InvariantCulture);
        _stages = int.Parse(stages, CultureInfo.InvariantCulture);
        _ranks = int.Parse(ranks, CultureInfo.InvariantCulture);
    }

    private Task ChangeLayoutAsync() => AskAsync(async () =>
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"{_replicas},{_stages},{_ranks}");
        var refusal = await Cluster.ChangeLayoutAsync(LayoutConstraints.Parse(text, 1), CancellationToken.None);
        return refusal ?? $"Layout {text} as soon as it fits.";
    });

    private Task LetChooseAsync() => AskAsync(async () =>
        await Cluster.ChangeLayoutAsync(null, CancellationToken.None) ?? "The planner chooses the layout.");

    private Task ChangeObjectiveAsync() => AskAsync(async () =>
    {
        LayoutObjective? objective = _objective switch
        {
            "latency" => new LayoutObjective(Objective.Latency),
            "throughput" => new LayoutObjective(Objective.Throughput),
            "slo" => new LayoutObjective(Objective.Slo)
            {
                SloTarget = TimeSpan.FromSeconds(Math.Clamp(_targetSeconds, 0.01, 3600)),
                SloShare = Math.Clamp(_sharePercent / 100, 0.5, 0.9999),
            },
            _ => null,
        };
        await Cluster.ChangeObjectiveAsync(objective, CancellationToken.None);
        return objective is null ? "One replica over all devices." : $"Layouts are chosen for {objective}.";
    });

    private async Task AskAsync(Func<Task<string>> ask)
    {
        try
        {
            _said = await ask();
        }
        catch (Exception error) when (error is PlannerSilentException or FormatException or ArgumentException)
        {
            _said = error.Message;
        }
    }
}
