namespace SpotServe.Actors.Planner;

/// <summary>When a layout that would serve the present load better is worth a change of layout.</summary>
public sealed record FollowOptions
{
    /// <summary>A layout that can serve so many times the load and more is not worth asking for.</summary>
    public const double HeadroomMax = 10;

    /// <summary>It has to be better by this share: of latency, throughput or cost, as the objective says.</summary>
    public double Margin
    {
        get;
        init => field = value is >= 0.01 and <= 10
            ? value
            : throw new ArgumentOutOfRangeException(nameof(Margin), value, "Must be 0.01 to 10.");
    } = 0.2;

    /// <inheritdoc cref="Planning.SearchOptions.Headroom"/>
    public double Headroom
    {
        get;
        init => field = Bounds.Between(value, 0, HeadroomMax);
    } = Planning.SearchOptions.HeadroomUsual;

    /// <summary>For so long without a break.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Layouts are planned for the highest rate of this time; zero plans for the present one.</summary>
    public TimeSpan Memory { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>The load is looked at this often.</summary>
    public TimeSpan Period { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>After a change the load is not followed for this long: what is reported then is of the
    /// change.</summary>
    public TimeSpan RestAfterChange { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>What the better layout saves within this time has to be more than the change costs.</summary>
    public TimeSpan Horizon { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>What a change is taken to cost every open request, whatever its bytes: the pause, and slower first
    /// steps.</summary>
    public TimeSpan ChangeCost { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Share of its time that a request is slower by while weights come in: the most that transfers may slow
    /// decoding by (<see cref="DataPlane.TransferPacerOptions.SlowdownMax"/>).</summary>
    public double LoadingSlowdown
    {
        get;
        init => field = value is >= 0 and <= 10
            ? value
            : throw new ArgumentOutOfRangeException(nameof(LoadingSlowdown), value, "Must be 0 to 10.");
    } = 0.2;
}
