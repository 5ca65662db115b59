using System.Collections.Immutable;
using System.Text.Json;

namespace SpotServe.Seed.Hosting;

/// <summary>
/// The few facts of a Hugging Face model folder that the front needs: nodes read the rest. Nothing here touches
/// weights.
/// </summary>
/// <param name="Name">Folder name; clients call the model so.</param>
/// <param name="StopTokens">End-of-sequence ids of generation_config.json, else of config.json.</param>
public sealed record ServedModel(
    string Name, string Folder, int LayerCount, int HeadCount, ImmutableArray<int> StopTokens)
{
    /// <exception cref="ModelFolderException">The folder cannot be served; the message says which file and
    /// why.</exception>
    public static ServedModel Open(string folder)
    {
        var full = Path.GetFullPath(folder);
        if (!Directory.Exists(full))
        {
            throw new ModelFolderException(
                $"There is no model folder {full}. Give --model a Hugging Face folder with config.json, " +
                "model.safetensors and tokenizer.json.");
        }

        foreach (var needed in (string[])["config.json", "tokenizer.json"])
        {
            if (!File.Exists(Path.Combine(full, needed)))
            {
                throw new ModelFolderException(
                    $"Model folder {full} has no {needed}. Give --model a Hugging Face folder with config.json, " +
                    "model.safetensors and tokenizer.json.");
            }
        }

        using var config = Read(Path.Combine(full, "config.json"));
        var generation = Path.Combine(full, "generation_config.json");
        using var defaults = File.Exists(generation) ? Read(generation) : null;
        var stop = defaults is null ? [] : TokenIds(defaults.RootElement, "eos_token_id");
        return new ServedModel(
            Path.GetFileName(full.TrimEnd(Path.DirectorySeparatorChar)),
            full,
            Number(config, full, "num_hidden_layers", "n_layer"),
            Number(config, full, "num_attention_heads", "n_head"),
            stop.IsEmpty ? TokenIds(config.RootElement, "eos_token_id") : stop);
    }

    private static JsonDocument Read(string path)
    {
        try
        {
            return JsonDocument.Parse(File.ReadAllBytes(path));
        }
        catch (JsonException error)
        {
            throw new ModelFolderException($"{path} is not JSON: {error.Message}", error);
        }
    }

    private static int Number(JsonDocument config, string folder, params string[] names)
    {
        foreach (var name in names)
        {
            if (config.RootElement.TryGetProperty(name, out var value)
                && value.TryGetInt32(out var number) && number > 0)
            {
                return number;
            }
        }

        throw new ModelFolderException($"{Path.Combine(folder, "config.json")} has no positive integer {names[0]}.");
    }

    private static ImmutableArray<int> TokenIds(JsonElement root, string name)
    {
        if (!root.TryGetProperty(name, out var value)) return [];
        return value.ValueKind switch
        {
            JsonValueKind.Number => [value.GetInt32()],
            JsonValueKind.Array => [.. value.EnumerateArray().Select(item => item.GetInt32())],
            _ => [],
        };
    }
}

/// <summary>A model folder cannot be served.</summary>
public sealed class ModelFolderException(string message, Exception? inner = null) : Exception(message, inner);
