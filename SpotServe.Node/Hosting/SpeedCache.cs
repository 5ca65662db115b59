using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Hosting;

/// <summary>What devices of a model measured, kept in a folder: one file for each model, so that a node that starts
/// again measures nothing, and nodes of one machine agree.</summary>
internal sealed class SpeedCache(string folder, TimeProvider clock)
{
    private static readonly TimeSpan TurnPoll = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan TurnMax = TimeSpan.FromSeconds(3);

    /// <summary>$XDG_CACHE_HOME/spotserve, or ~/.cache/spotserve.</summary>
    public static string DefaultFolder => Path.Combine(
        Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } home
            ? home
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
        "spotserve");

    /// <summary>What the cache has of this model, else what is measured now. Nodes of one machine that start together
    /// measure one after the other, so that they do not measure each other. A folder that cannot be read or written
    /// costs a measurement and nothing else.</summary>
    public async Task<DeviceSpeed?> GetAsync(string model, Func<DeviceSpeed?> measure, CancellationToken cancel)
    {
        var path = Path.Combine(folder, $"speed-{Name(model)}.json");
        if (Read(path, model) is { } known) return known;
        using var turn = await TakeTurnAsync(cancel);
        if (Read(path, model) is { } measured) return measured;
        if (measure() is not { } speed || !speed.IsUsable()) return null;
        Write(path, speed);
        return speed;
    }

    /// <returns>Null when the others take too long, or there is no such folder.</returns>
    private async Task<FileStream?> TakeTurnAsync(CancellationToken cancel)
    {
        using var timer = new PeriodicTimer(TurnPoll, clock);
        for (var waited = TimeSpan.Zero; waited < TurnMax; waited += TurnPoll)
        {
            try
            {
                Directory.CreateDirectory(folder);
                return new FileStream(
                    Path.Combine(folder, "measuring"), FileMode.OpenOrCreate, FileAccess.Write, FileShare.None);
            }
            catch (UnauthorizedAccessException)
            {
                return null;
            }
            catch (IOException)
            {
                await timer.WaitForNextTickAsync(cancel);
            }
        }

        return null;
    }

    private static DeviceSpeed? Read(string path, string model)
    {
        try
        {
            if (!File.Exists(path)) return null;
            var speed = JsonSerializer.Deserialize<DeviceSpeed>(File.ReadAllText(path));
            return speed is not null && speed.Model == model && speed.IsUsable() ? speed : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    /// <summary>Written beside it and moved into place, so that nobody reads a part; one that is there stays, unless
    /// it is of no use.</summary>
    private void Write(string path, DeviceSpeed speed)
    {
        try
        {
            Directory.CreateDirectory(folder);
            var whole = $"{path}.{Environment.ProcessId}";
            File.WriteAllText(whole, JsonSerializer.Serialize(speed));
            File.Move(whole, path, overwrite: Read(path, speed.Model) is null);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Another node was faster, or nothing can be written there.
        }
    }

    private static string Name(string model) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(model)))[..16];
}
