using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Node.Weights;

/// <summary>A tensor and the file that holds it.</summary>
public readonly record struct TensorLocation(SafetensorsFile File, StoredTensor Tensor);

/// <summary>The weight files of a Hugging Face model folder: one model.safetensors, or shards with an index.</summary>
public sealed class Checkpoint : IDisposable
{
    private const long IndexBytesMax = 64 << 20;
    private const int ShardsMax = 4096;

    private readonly Dictionary<string, TensorLocation> _tensors = new(StringComparer.Ordinal);
    private readonly List<SafetensorsFile> _files = [];

    private Checkpoint(string folder) => Folder = folder;

    public string Folder { get; }

    public IEnumerable<string> Names => _tensors.Keys;

    /// <summary>Hash over the headers of all files, in order, and over <see cref="TensorSamples"/>: two checkpoints of
    /// one form and other numbers differ in it.</summary>
    public string Fingerprint { get; private set; } = "";

    /// <summary>Whether the fingerprint covers every number, and not samples of them.</summary>
    public bool IsWholeInFingerprint => TensorSamples.CoverAll(_tensors.Values);

    /// <summary>The weight files, in the order of their names.</summary>
    public IReadOnlyList<string> Paths => [.. _files.Select(file => file.Path).Order(StringComparer.Ordinal)];

    /// <summary>The type of most bytes: what the model's weights are stored in.</summary>
    public ElementType StoredType => _tensors.Values
        .Where(t => t.Tensor.Type is not null)
        .GroupBy(t => t.Tensor.Type!.Value)
        .OrderByDescending(group => group.Sum(t => t.Tensor.Bytes))
        .Select(group => group.Key)
        .FirstOrDefault(ElementType.Float32);

    /// <summary>Maps the folder's weight files and checks their headers; reads no weights.</summary>
    /// <exception cref="ModelFormatException">A file is missing or malformed; the message names it.</exception>
    public static Checkpoint Open(string folder)
    {
        var checkpoint = new Checkpoint(folder);
        try
        {
            var single = Path.Combine(folder, "model.safetensors");
            var index = Path.Combine(folder, "model.safetensors.index.json");
            if (File.Exists(single)) checkpoint.AddAll(SafetensorsFile.Open(single));
            else if (File.Exists(index)) checkpoint.AddShards(index);
            else
            {
                throw new ModelFormatException(
                    $"{folder} holds neither model.safetensors nor model.safetensors.index.json.");
            }

            var headers = string.Join('\n', checkpoint._files.Select(f => f.HeaderHash));
            var numbers = TensorSamples.Hash(checkpoint._tensors.Values);
            checkpoint.Fingerprint = Convert.ToHexStringLower(
                SHA256.HashData(Encoding.ASCII.GetBytes($"{headers}\n{numbers}")));
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    public bool TryFind(string name, out TensorLocation location) => _tensors.TryGetValue(name, out location);

    /// <summary>A tensor that must be there with this shape.</summary>
    /// <exception cref="ModelFormatException">It is missing, or has another shape or no weight type.</exception>
    public TensorLocation Require(string name, IReadOnlyList<long> shape)
    {
        if (!_tensors.TryGetValue(name, out var location))
            throw new ModelFormatException($"{Folder}: tensor {name} is missing from the checkpoint.");
        var (file, tensor) = location;
        if (tensor.Type is null)
            throw new ModelFormatException($"{file.Path}: tensor {name} is not of type F32, F16 or BF16.");
        return tensor.Shape.SequenceEqual(shape)
            ? location
            : throw new ModelFormatException(
                $"{file.Path}: tensor {name} has shape [{string.Join(',', tensor.Shape)}]; config.json asks for "
                + $"[{string.Join(',', shape)}].");
    }

    public void Dispose()
    {
        foreach (var file in _files) file.Dispose();
        _files.Clear();
        _tensors.Clear();
    }

    private void AddAll(SafetensorsFile file)
    {
        _files.Add(file);
        foreach (var tensor in file.Tensors.Values) _tensors.Add(tensor.Name, new TensorLocation(file, tensor));
    }

    private void AddShards(string index)
    {
        var map = ReadIndex(index);
        var shards = map.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        if (shards.Length > ShardsMax)
            throw new ModelFormatException($"{index}: names {shards.Length} files; the limit is {ShardsMax}.");

        var files = new Dictionary<string, SafetensorsFile>(StringComparer.Ordinal);
        foreach (var shard in shards)
        {
            if (shard.Length == 0 || shard != Path.GetFileName(shard))
                throw new ModelFormatException($"{index}: \"{shard}\" is not a file of the model folder.");
            var file = SafetensorsFile.Open(Path.Combine(Folder, shard));
            _files.Add(file);
            files.Add(shard, file);
        }

        foreach (var (name, shard) in map)
        {
            if (!files[shard].Tensors.TryGetValue(name, out var tensor))
                throw new ModelFormatException($"{index}: says that {shard} holds tensor {name}, but it does not.");
            _tensors.Add(name, new TensorLocation(files[shard], tensor));
        }
    }

    private static Dictionary<string, string> ReadIndex(string index)
    {
        if (new FileInfo(index).Length > IndexBytesMax)
            throw new ModelFormatException($"{index}: is larger than {IndexBytesMax >> 20} MiB.");
        try
        {
            using var document = JsonTexts.Parse(File.ReadAllBytes(index));
            var map = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var entry in document.RootElement.GetProperty("weight_map").EnumerateObject())
                map[entry.Name] = JsonTexts.Of(entry.Value)
                    ?? throw new JsonException("a file in it is named by no text");
            return map;
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new ModelFormatException(
                $"{index}: is not an index with a weight_map of tensor to file: {error.Message}", error);
        }
    }
}
