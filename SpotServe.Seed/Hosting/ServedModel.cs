using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Hosting;

/// <summary>
/// The few facts of a Hugging Face model folder that the front needs: nodes read the rest. Nothing here touches
/// weights.
/// </summary>
/// <param name="Name">Folder name; clients call the model so.</param>
/// <param name="Defaults">How texts are generated when a request does not say.</param>
public sealed record ServedModel(
    string Name, string Folder, int LayerCount, int HeadCount, GenerationDefaults Defaults)
{
    private const int SizeMax = 1 << 24;

    /// <summary>Tokens that the model has, which may be fewer than its tokenizer's.</summary>
    public required int VocabularySize { get; init; }

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

        var config = new ConfigFile(Path.Combine(full, "config.json"));
        var generation = Path.Combine(full, GenerationDefaults.FileName);
        return new ServedModel(
            Path.GetFileName(full.TrimEnd(Path.DirectorySeparatorChar)),
            full,
            config.Size(SizeMax, "num_hidden_layers", "n_layer"),
            config.Size(SizeMax, "num_attention_heads", "n_head"),
            GenerationDefaults.Read(config, File.Exists(generation) ? new ConfigFile(generation) : null))
        {
            VocabularySize = config.Size(SizeMax, "vocab_size"),
        };
    }
}

/// <summary>A model folder cannot be served.</summary>
public sealed class ModelFolderException(string message, Exception? inner = null) : Exception(message, inner);
