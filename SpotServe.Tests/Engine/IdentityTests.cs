using SpotServe.Actors.Execution;
using SpotServe.Node.Engine;
using SpotServe.Tests.Execution;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>Two folders of one form are two models when their numbers differ.</summary>
[Collection("Engine")]
public sealed class IdentityTests
{
    [Fact]
    public void Folders_with_equal_headers_and_other_numbers_have_other_fingerprints()
    {
        using var one = Runtime(Folder(0));
        using var same = Runtime(Folder(0));
        using var other = Runtime(Folder(1));

        Assert.Equal(one.Model.Fingerprint, same.Model.Fingerprint);
        Assert.NotEqual(one.Model.Fingerprint, other.Model.Fingerprint);
    }

    [Fact]
    public void Folder_with_a_single_other_number_has_another_fingerprint()
    {
        var folder = Folder(0);
        using var one = Runtime(Folder(0));
        var path = Path.Combine(folder, "model.safetensors");
        var bytes = File.ReadAllBytes(path);
        bytes[^5000] ^= 1;
        File.WriteAllBytes(path, bytes);
        using var other = Runtime(folder);

        Assert.NotEqual(one.Model.Fingerprint, other.Model.Fingerprint);
    }

    [Fact]
    public async Task Slice_of_a_peer_with_other_numbers_is_not_used_and_said()
    {
        var warnings = new List<string>();
        using var source = Runtime(Folder(1));
        using var sink = Runtime(Folder(0), warnings.Add);
        using var same = Runtime(Folder(0));
        var peers = new PeerRuntimes();
        peers.Add(source);
        var assignment = Assignment(sink.Model);
        using var theirs = source.Load(assignment, null, CancellationToken.None);
        var loaded = new LastProgress();

        using var engine = await sink.PrepareAsync(
            peers.Order(assignment), peers, loaded, TestContext.Current.CancellationToken);
        using var folder = same.Load(assignment, null, CancellationToken.None);

        Assert.NotEmpty(peers.Requests);
        Assert.Equal(0, loaded.Value.PeerBytes);
        Assert.Equal(loaded.Value.TotalBytes, loaded.Value.LoadedBytes);
        Assert.Equal(peers.Requests.Count, warnings.Count);
        Assert.Contains("other numbers", warnings[0], StringComparison.Ordinal);
        foreach (var slice in sink.Weights.SelectMany(held => Enumerable
            .Range(held.Layers.First, held.Layers.Count)
            .Select(layer => held with { Layers = new LayerRange(layer, layer + 1) })))
        {
            Assert.Equal(PeerRuntimes.Bytes(same.OpenWeights(slice)), PeerRuntimes.Bytes(sink.OpenWeights(slice)));
        }
    }

    private static StageAssignment Assignment(ModelSpec model) => new(
        new Epoch(1), new Position(0, 0, 0), new LayerRange(0, model.LayerCount), StageCount: 1, RankCount: 1,
        PageCount: 32, StepTokensMax: 64, SequencesMax: 4);

    private static TorchDeviceRuntime Runtime(string folder, Action<string>? warn = null) => new(
        new TorchRuntimeOptions { ModelFolder = folder, ServedName = "same", Threads = 1, Warn = warn });

    /// <summary>A model whose every matrix is shifted by a little.</summary>
    private static string Folder(int shift)
    {
        var values = GoldenValues.Load(GoldenModel.Source("llama-gqa"));
        var folder = TemporaryFolders.Create();
        File.Copy(
            Path.Combine(GoldenModel.Source("llama-gqa"), "config.json"), Path.Combine(folder, "config.json"));
        SafetensorsWriter.Write(
            Path.Combine(folder, "model.safetensors"),
            values.Tensors.Select(tensor => (tensor.Key, tensor.Value, Array.ConvertAll(
                GoldenModel.Weights(tensor.Key, tensor.Value, values.MatrixScale),
                value => value + (shift * 0.001f)))));
        return folder;
    }

    private sealed class LastProgress : IProgress<LoadProgress>
    {
        public LoadProgress Value { get; private set; }

        public void Report(LoadProgress value) => Value = value;
    }
}
