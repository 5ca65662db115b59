using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpotServe.Seed.Commands;

/// <summary>What `plan` is asked, as its JSON file says it. Every part has a default but model and instances.</summary>
/// <remarks>Setters, not init: generated deserialisation would overwrite the defaults of init-only
/// properties.</remarks>
internal sealed record PlanDescription
{
    public PlanModel Model { get; set; } = new();

    /// <summary>Device kinds by name; instances may also name a built-in one.</summary>
    public IReadOnlyList<PlanKind> Kinds { get; set; } = [];

    public IReadOnlyList<PlanInstances> Instances { get; set; } = [];

    public PlanLinks Links { get; set; } = new();

    public PlanLoad Load { get; set; } = new();

    /// <summary>latency, throughput or slo.</summary>
    public string Objective { get; set; } = "latency";

    /// <summary>continuous or fixed.</summary>
    public string Batching { get; set; } = "continuous";

    public double SloSeconds { get; set; } = 10;

    /// <summary>By this share another layout has to be better than the current one.</summary>
    public double Margin { get; set; } = 0.2;

    public double SloProbability { get; set; } = 0.99;

    /// <summary>By this share of the load a layout must be able to serve more; null: 0.25, and none by the paper's
    /// rules.</summary>
    public double? Headroom { get; set; }

    /// <summary>M to try; those that do not divide the heads are then an error.</summary>
    public IReadOnlyList<int>? Ranks { get; set; }

    /// <summary>B to try.</summary>
    public IReadOnlyList<int>? BatchSizes { get; set; }

    /// <summary>Path of a profile of the paper's kind; none: a roofline from the kinds' rates.</summary>
    public string? Profile { get; set; }

    /// <summary>Fewest devices of a replica, in place of the memory check: the paper's rule. 0 checks the
    /// memory.</summary>
    public int ReplicaDevicesMin { get; set; }

    /// <summary>The layout that serves, on the instances in the order given.</summary>
    public PlanCurrent? Current { get; set; }

    /// <summary>Seconds until instances that are still starting are ready.</summary>
    public double? JoinInSeconds { get; set; }

    /// <summary>Whether serving stops before anything moves, as in the paper.</summary>
    public bool StopFirst { get; set; }

    /// <summary>Whether every node keeps the model on its local disk.</summary>
    public bool LocalDisk { get; set; }

    /// <exception cref="JsonException">Not JSON, or a key that is not known.</exception>
    public static PlanDescription Parse(string json) =>
        JsonSerializer.Deserialize(json, PlanDescriptionJson.Default.PlanDescription)
        ?? throw new JsonException("The file is empty.");
}

/// <summary>One of: a preset's name, the path of a config.json, or a shape in numbers.</summary>
internal sealed record PlanModel
{
    public string? Preset { get; set; }

    public string? Config { get; set; }

    public PlanShape? Shape { get; set; }
}

/// <summary>A LLaMA-like shape; kv heads default to the heads.</summary>
internal sealed record PlanShape
{
    public string Name { get; set; } = "model";

    public int Layers { get; set; }

    public int Hidden { get; set; }

    public int Heads { get; set; }

    public int? KvHeads { get; set; }

    public int Intermediate { get; set; }

    public int Vocabulary { get; set; }

    public int Context { get; set; } = 4096;

    /// <summary>float32, float16 or bfloat16.</summary>
    public string Type { get; set; } = "bfloat16";
}

internal sealed record PlanKind
{
    public string Name { get; set; } = "";

    public double MemoryGib { get; set; }

    /// <summary>Gigabytes per second that a matrix-vector product reads.</summary>
    public double WeightGbps { get; set; }

    public double Tflops { get; set; }

    public double LayerOverheadMicroseconds { get; set; } = 20;

    public double PricePerHour { get; set; }
}

/// <summary>Instances that are alike.</summary>
internal sealed record PlanInstances
{
    /// <summary>The instance's name; with a count above 1 a number is appended.</summary>
    public string Name { get; set; } = "node";

    public int Count { get; set; } = 1;

    public string Kind { get; set; } = "T4";

    public int Devices { get; set; } = 1;

    /// <summary>Seconds until the cloud takes them; none: they stay.</summary>
    public double? LeavesInSeconds { get; set; }

    /// <summary>Whether they hold nothing yet and are not part of the current layout.</summary>
    public bool Joins { get; set; }
}

/// <summary>Gigabits per second, one way.</summary>
internal sealed record PlanLinks
{
    public double IntraNodeGbits { get; set; } = 50;

    public double InterNodeGbits { get; set; } = 50;

    public double DiskGbits { get; set; } = 8;

    public double StoreGbits { get; set; } = 2;

    public double LatencyMicroseconds { get; set; } = 100;
}

internal sealed record PlanLoad
{
    public double RequestsPerSecond { get; set; } = 0.1;

    public int PromptTokens { get; set; } = 512;

    public int OutputTokens { get; set; } = 128;
}

internal sealed record PlanCurrent
{
    public int Replicas { get; set; } = 1;

    public int Stages { get; set; } = 1;

    public int Ranks { get; set; } = 1;

    public int BatchSize { get; set; } = 1;

    /// <summary>Tokens that each of the batch's requests has in the cache.</summary>
    public int CachedTokens { get; set; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    RespectNullableAnnotations = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(PlanDescription))]
internal sealed partial class PlanDescriptionJson : JsonSerializerContext;
