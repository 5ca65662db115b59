using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpotServe.Actors.Planning;

/// <summary>What a planner's decisions are made from, as it tells it.</summary>
/// <param name="DecidedEpoch">Of the layout that <paramref name="Decided"/> led to; null before the first.</param>
/// <param name="Decided">What the latest decision was made from.</param>
/// <param name="Present">What a decision would be made from now, with what nodes said at the latest one that they
/// hold; null while no node is there.</param>
public sealed record PlanningRecord(long? DecidedEpoch, PlanningInputs? Decided, PlanningInputs? Present)
{
    /// <summary>Of the latest decision, as its executors were told of them. Not read: who reads the inputs plans the
    /// same, and can compare.</summary>
    public ImmutableArray<PlannedStep> Steps { get; init; } = [];
}

/// <summary>A step of a migration, for people, with its expected times from the plan's start.</summary>
public sealed record PlannedStep(string Text, double BeginSeconds, double EndSeconds)
{
    public static PlannedStep Of(MigrationStep step) =>
        new(step.ToString(), step.Start.TotalSeconds, step.Finish.TotalSeconds);
}

/// <summary>Planning inputs as JSON. Sizes are bytes, rates bytes per second, durations "hh:mm:ss".</summary>
public static class PlanningInputsJson
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
        IgnoreReadOnlyProperties = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    public static string Write(PlanningRecord record) => JsonSerializer.Serialize(record, Options);

    /// <exception cref="JsonException">Not JSON, a key is missing or not known.</exception>
    public static PlanningRecord Read(string json) =>
        JsonSerializer.Deserialize<PlanningRecord>(json, Options) ?? throw new JsonException("The file is empty.");
}
