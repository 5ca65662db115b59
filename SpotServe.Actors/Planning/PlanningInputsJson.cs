using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpotServe.Actors.Planning;

/// <summary>What a planner's decisions are made from, as it tells it.</summary>
/// <param name="DecidedEpoch">Of the layout that <paramref name="Decided"/> led to; null before the first.</param>
/// <param name="Decided">What the latest decision was made from.</param>
/// <param name="Present">What a decision would be made from now, with what nodes said at the latest one that they
/// hold; null while no node is there.</param>
public sealed record PlanningRecord(long? DecidedEpoch, PlanningInputs? Decided, PlanningInputs? Present);

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
