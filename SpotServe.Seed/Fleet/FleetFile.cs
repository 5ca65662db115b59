using System.Text.Json;
using System.Text.Json.Serialization;
using SpotServe.Actors.Hosting;

namespace SpotServe.Seed.Fleet;

/// <summary>Reads --fleet-file for any cloud: JSON in snake case, without unknown or missing keys.</summary>
internal static class FleetFile
{
    private static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
        ReadCommentHandling = JsonCommentHandling.Skip,
    };

    /// <param name="objection">What is wrong with what was read; null when nothing is.</param>
    /// <exception cref="UsageException">The file cannot be read, or says what cannot be.</exception>
    public static T Read<T>(string file, Func<T, string?> objection)
        where T : class
    {
        try
        {
            var read = JsonSerializer.Deserialize<T>(File.ReadAllBytes(file), Json)
                ?? throw new UsageException($"--fleet-file {file} holds null.");
            return objection(read) is { } wrong
                ? throw new UsageException($"--fleet-file {file}: {wrong}")
                : read;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new UsageException($"--fleet-file {file} cannot be used: {error.Message}");
        }
    }

    /// <exception cref="UsageException">A limit is out of range.</exception>
    public static T Checked<T>(Func<T> limits)
    {
        try
        {
            return limits();
        }
        catch (ArgumentOutOfRangeException error)
        {
            throw new UsageException($"--fleet-file: {error.Message}");
        }
    }
}
