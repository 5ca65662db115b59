using System.Collections.Immutable;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Commands;

/// <summary>Turns what `plan` was asked into what the planner takes. Reads the files that it names.</summary>
internal static class PlanRequestBuilder
{
    private const double SecondsMax = 1e9;

    private static readonly DeviceKind[] BuiltInKinds =
    [
        new("T4", 15L << 30, 240e9, 25e12, 40e-6, 0.476),
        new("V100", 15L << 30, 750e9, 80e12, 30e-6, 3.06),
        new("A10G", 22L << 30, 480e9, 70e12, 25e-6, 1.0),
        new("L4", 22L << 30, 250e9, 60e12, 25e-6, 0.7),
        new("A100", 78L << 30, 1.6e12, 250e12, 15e-6, 4.1),
        new("H100", 78L << 30, 2.7e12, 600e12, 12e-6, 6.9),
    ];

    /// <exception cref="PlanningException">Something cannot be planned with; the message says what.</exception>
    /// <exception cref="IOException">A named file cannot be read.</exception>
    public static PlanningInputs Build(PlanDescription description)
    {
        var model = Model(description.Model);
        var links = Links(description.Links);
        var (staying, leaving) = Instances(description);
        var table = description.Profile is { } path
            ? ProfileTable.Parse(path, File.ReadAllText(path))
            : null;
        var inputs = new PlanningInputs(
            model,
            staying,
            new Workload(
                description.Load.RequestsPerSecond, description.Load.PromptTokens, description.Load.OutputTokens),
            links)
        {
            Profile = table,
            Search = Options(description, table),
            Margin = description.Margin,
            Leaving = leaving,
            JoinIn = description.JoinInSeconds is { } seconds ? Seconds(seconds, "The time until instances are ready")
                : null,
            Mode = description.StopFirst ? MigrationMode.StopThenMigrate : MigrationMode.CopyWhileServing,
            DiskNodes = description.LocalDisk ? [.. staying.Select(instance => instance.Node)] : [],
        };
        return description.Current is { } current ? WithCurrent(inputs, description, current) : inputs;
    }

    /// <summary>A model by preset, config.json or numbers.</summary>
    internal static ModelSpec Model(PlanModel model)
    {
        if (model.Config is { } path) return Config(Simulating.PaperFiles.Text(path), path);
        if (model.Shape is { } shape)
        {
            return new TransformerShape(
                shape.Name, shape.Layers, shape.Hidden, shape.Heads, shape.KvHeads ?? shape.Heads, shape.Intermediate,
                shape.Vocabulary, shape.Context, Type(shape.Type)).ToModelSpec();
        }

        return model.Preset switch
        {
            "gpt-20b" => TransformerShape.Gpt20B.ToModelSpec(),
            "opt-6.7b" => new TransformerShape(
                "OPT-6.7B", 32, 4096, 32, 32, 16_384, 50_272, 2048, ElementType.Float32, true, MlpShape.Plain)
                .ToModelSpec(),
            "llama-7b" => new TransformerShape(
                "LLaMA-7B", 32, 4096, 32, 32, 11_008, 32_000, 4096, ElementType.BFloat16).ToModelSpec(),
            "llama-30b" => new TransformerShape(
                "LLaMA-30B", 60, 6656, 52, 52, 17_920, 32_000, 2048, ElementType.BFloat16).ToModelSpec(),
            "llama-70b" => new TransformerShape(
                "LLaMA-70B", 80, 8192, 64, 8, 28_672, 128_256, 8192, ElementType.BFloat16).ToModelSpec(),
            _ => throw new PlanningInputException(
                "The model",
                model.Preset,
                "a config.json, a shape, or one of gpt-20b, opt-6.7b, llama-7b, llama-30b, llama-70b"),
        };
    }

    private static ModelSpec Config(string json, string path)
    {
        using var document = ConfigDocument(json, path);
        var root = document.RootElement;
        var heads = Int("num_attention_heads");
        var shape = new TransformerShape(
            Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(path))) ?? "model",
            Int("num_hidden_layers"),
            Int("hidden_size"),
            heads,
            root.TryGetProperty("num_key_value_heads", out _) ? Int("num_key_value_heads") : heads,
            Int("intermediate_size"),
            Int("vocab_size"),
            Int("max_position_embeddings"),
            Type(Text("dtype") ?? Text("torch_dtype") ?? "float32"),
            root.TryGetProperty("tie_word_embeddings", out var tied) && tied.ValueKind == JsonValueKind.True);
        return (root.TryGetProperty("head_dim", out var size) && size.ValueKind == JsonValueKind.Number
            ? shape with { HeadSize = Int("head_dim") }
            : shape).ToModelSpec();

        int Int(string name) => root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number
            && value.TryGetInt32(out var number)
            ? number
            : throw new PlanningInputException(
                $"{name} in {path}", null, "a whole number, as LLaMA-like models have it");

        string? Text(string name) => root.TryGetProperty(name, out var value)
            ? JsonTexts.Of(value)
            : null;
    }

    private static JsonDocument ConfigDocument(string json, string path)
    {
        try
        {
            var document = JsonTexts.Parse(json);
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document;
            document.Dispose();
            throw new PlanningInputException($"The configuration {path}", "no JSON object", "a model's config.json");
        }
        catch (JsonException error)
        {
            throw new PlanningInputException(
                $"The configuration {path}", $"no JSON: {error.Message}", "a model's config.json");
        }
    }

    private static ElementType Type(string name) => name switch
    {
        "float32" => ElementType.Float32,
        "float16" => ElementType.Float16,
        "bfloat16" => ElementType.BFloat16,
        _ => throw new PlanningInputException("The element type", name, "float32, float16 or bfloat16"),
    };

    private static LinkRates Links(PlanLinks links)
    {
        const double BytesPerGbit = 1e9 / 8;
        return new LinkRates(
            links.IntraNodeGbits * BytesPerGbit,
            links.InterNodeGbits * BytesPerGbit,
            links.DiskGbits * BytesPerGbit,
            links.StoreGbits * BytesPerGbit,
            links.LatencyMicroseconds / 1e6);
    }

    private static (ImmutableArray<Instance> Staying, ImmutableDictionary<string, TimeSpan> Leaving) Instances(
        PlanDescription description)
    {
        var staying = ImmutableArray.CreateBuilder<Instance>();
        var leaving = ImmutableDictionary.CreateBuilder<string, TimeSpan>();
        foreach (var (instance, entry) in All(description))
        {
            if (entry.LeavesInSeconds is not { } seconds) staying.Add(instance);
            else if (leaving.ContainsKey(instance.Node)) throw new DuplicateIdException("instance", instance.Node);
            else leaving.Add(instance.Node, Seconds(seconds, $"The time left to {instance.Node}"));
        }

        return (staying.ToImmutable(), leaving.ToImmutable());
    }

    private static IEnumerable<(Instance Instance, PlanInstances Entry)> All(PlanDescription description)
    {
        foreach (var entry in description.Instances)
        {
            if (entry.Count is < 1 or > 65_536)
            {
                throw new PlanningInputException($"The count of {entry.Name}", entry.Count, "1 to 65536");
            }

            var kind = Kind(description, entry.Kind);
            for (var i = 0; i < entry.Count; i++)
            {
                var name = entry.Count == 1 ? entry.Name : FormattableString.Invariant($"{entry.Name}{i}");
                yield return (new Instance(name, kind, entry.Devices), entry);
            }
        }
    }

    internal static DeviceKind Kind(PlanDescription description, string name)
    {
        if (description.Kinds.FirstOrDefault(kind => kind.Name == name) is { } given)
        {
            return new DeviceKind(
                given.Name,
                (long)(Finite(given.MemoryGib, $"Memory of {name}") * (1L << 30)),
                given.WeightGbps * 1e9,
                given.Tflops * 1e12,
                given.LayerOverheadMicroseconds / 1e6,
                given.PricePerHour);
        }

        return Array.Find(BuiltInKinds, kind => kind.Name == name) ?? throw new PlanningInputException(
            "The device kind", name,
            $"described under kinds, or one of {string.Join(", ", BuiltInKinds.Select(kind => kind.Name))}");
    }

    private static TimeSpan Seconds(double value, string what) => value is >= 0 and <= SecondsMax
        ? TimeSpan.FromSeconds(value)
        : throw new PlanningInputException(what, value, FormattableString.Invariant($"0 to {SecondsMax:0} seconds"));

    private static double Finite(double value, string what) =>
        double.IsFinite(value) ? value : throw new PlanningInputException(what, value, "a number");

    private static SearchOptions Options(PlanDescription description, ProfileTable? table)
    {
        var options = table is not null && description.ReplicaDevicesMin > 0
            ? SearchOptions.Paper(table, description.ReplicaDevicesMin)
            : new SearchOptions { ReplicaDevicesMin = Math.Max(1, description.ReplicaDevicesMin) };
        return options with
        {
            Objective = description.Objective switch
            {
                "latency" => Objective.Latency,
                "throughput" => Objective.Throughput,
                "slo" => Objective.Slo,
                _ => throw new PlanningInputException(
                    "The objective", description.Objective, "latency, throughput or slo"),
            },
            Batching = description.Batching switch
            {
                "continuous" => Batching.Continuous,
                "fixed" => Batching.Fixed,
                _ => throw new PlanningInputException("The batching", description.Batching, "continuous or fixed"),
            },
            SloTarget = Seconds(description.SloSeconds, "The latency target"),
            SloProbability = description.SloProbability,
            Headroom = description.Headroom ?? options.Headroom,
            RankCounts = description.Ranks is { } ranks ? [.. ranks] : options.RankCounts,
            RequireRanks = description.Ranks is not null,
            BatchSizes = description.BatchSizes is { } sizes ? [.. sizes] : options.BatchSizes,
        };
    }

    /// <summary>Lays the current layout over the instances that have not just joined, and fills its caches.</summary>
    private static PlanningInputs WithCurrent(
        PlanningInputs inputs, PlanDescription description, PlanCurrent current)
    {
        var geometry = new SliceGeometry(inputs.Model);
        var degrees = new LayoutDegrees(current.Replicas, current.Stages, current.Ranks, current.BatchSize);
        geometry.RequireRanks(current.Ranks);
        if (current.Replicas is < 1 or > Instance.DevicesMax || current.BatchSize is < 1 or > SearchOptions.BatchSizeMax
            || current.Stages < 1 || (long)current.Replicas * current.Stages * current.Ranks > Instance.DevicesMax
                || current.Stages > inputs.Model.LayerCount)
        {
            throw new PlanningInputException(
                "The current layout",
                degrees,
                $"D, B >= 1, P of 1 to {inputs.Model.LayerCount}, at most {Instance.DevicesMax} devices");
        }

        var devices = All(description).Where(entry => !entry.Entry.Joins)
            .SelectMany(entry => entry.Instance.Devices).Take(degrees.DeviceCount).ToImmutableArray();
        if (devices.Length < degrees.DeviceCount)
        {
            throw new PlanningInputException(
                "The current layout", degrees, $"no larger than the {devices.Length} devices that did not just join");
        }

        var layout = new Layout(
            degrees, Layout.EvenStages(inputs.Model.LayerCount, current.Replicas, current.Stages), devices);
        return inputs with
        {
            Serving = new ServingLayout(layout, PagesOf(inputs, layout)),
            Holdings = Holding.All(geometry, layout),
            Caches = current.CachedTokens <= 0
                ? []
                : [.. Enumerable.Range(0, current.Replicas).Select(d => new ReplicaCache(d,
                    [.. Enumerable.Range(0, current.BatchSize).Select(b => new CachedRequest(
                        new RequestId(FormattableString.Invariant($"r{d}-{b}")),
                        current.CachedTokens,
                        Math.Max(0, current.CachedTokens - inputs.Load.PromptTokens)))]))],
        };
    }
    /// <summary>What the devices that stay leave room for; a device that leaves is taken to be like them.</summary>
    private static ImmutableArray<int> PagesOf(PlanningInputs inputs, Layout layout)
    {
        if (inputs.Instances.IsEmpty) throw new NoDevicesException();
        var least = inputs.Instances.Min(instance => instance.DeviceMemoryBytes());
        var memory = inputs.Instances.SelectMany(instance => instance.Devices.Select(device => (device, instance)))
            .ToDictionary(pair => pair.device, pair => pair.instance.DeviceMemoryBytes());
        return LayoutAssembly.PagesPerReplica(
            inputs.Model, layout, position => memory.GetValueOrDefault(layout.DeviceAt(position), least),
            inputs.WorkingBytes);
    }
}
