using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Fleet;

/// <summary>How much memory a node can make use of for a model, so that it is not given all that there is.</summary>
internal static class UsefulMemory
{
    /// <summary>Weights that are stored in 16 bits may be computed with in 32.</summary>
    private const int WideningMax = 2;

    /// <summary>While a layout changes, the slices and the caches of the old one and of the new one are there
    /// together. A cache that had all of the room would leave the next one so few pages that sequences have to be
    /// parked until others end.</summary>
    private const int LayoutsMax = 2;

    /// <summary>Room for what a step computes with.</summary>
    private const long WorkBytes = 256 << 20;

    /// <summary>
    /// Bytes for all weights and for the cache of so many sequences of the model's full length: a single node that is
    /// left must be able to serve alone. Never too small; far too large where heads share keys and values.
    /// </summary>
    /// <returns>Null when the folder does not say enough.</returns>
    public static double? Of(string modelFolder, int sequencesMax)
    {
        try
        {
            var config = new ConfigFile(Path.Combine(modelFolder, "config.json"));
            if (config.Number("num_hidden_layers") is not { } layers || layers <= 0
                || config.Number("hidden_size") is not { } hidden || hidden <= 0
                || config.Number("max_position_embeddings") is not { } context || context <= 0)
            {
                return null;
            }

            var weights = new DirectoryInfo(modelFolder).EnumerateFiles("*.safetensors").Sum(file => file.Length);
            var cachePerToken = 2.0 * layers * hidden * sizeof(float);
            var layout = (1.0 * weights * WideningMax) + (cachePerToken * context * sequencesMax);
            return (layout * LayoutsMax) + WorkBytes;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ModelFormatException)
        {
            return null;
        }
    }
}
