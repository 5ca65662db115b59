using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpotServe.Seed.Commands;

/// <summary>What `plan` is asked, as its JSON file says it. Every part has a default but model and instances.</summary>
internal sealed record PlanDescription
{
    public PlanModel Model { get; init; } = new();

    /// <summary>Device kinds by name; instances may also name a built-in one.</summary>
    public IReadOnlyList<PlanKind> Kinds { get; init; } = [];

    public IReadOnlyList<PlanInstances> Instances { get; init; } = [];

    public PlanLinks Links { get; init; } = new();

    public PlanLoad Load { get; init; } = new();

    /// <summary>latency, throughput or slo.</summary>
    public string Objective { get; init; } = "latency";

    /// <summary>continuous or fixed.</summary>
    public string Batching { get; init; } = "continuous";

    public double SloSeconds { get; init; } = 10;

    public double SloProbability { get; init; } = 0.99;

    /// <summary>M to try; those that do not divide the heads are then an error.</summary>
    public IReadOnlyList<int>? Ranks { get; init; }

    /// <summary>B to try.</summary>
    public IReadOnlyList<int>? BatchSizes { get; init; }

    /// <summary>Path of a profile of the paper's kind; none: a roofline from the kinds' rates.</summary>
    public string? Profile { get; init; }

    /// <summary>Fewest devices of a replica, in place of the memory check: the paper's rule. 0 checks the memory.</summary>
    public int ReplicaDevicesMin { get; init; }

    /// <summary>The layout that serves, on the instances in the order given.</summary>
    public PlanCurrent? Current { get; init; }

    /// <summary>Seconds until instances that are still starting are ready.</summary>
    public double? JoinInSeconds { get; init; }

    /// <summary>Whether serving stops before anything moves, as in the paper.</summary>
    public bool StopFirst { get; init; }

    /// <summary>Whether every node keeps the model on its local disk.</summary>
    public bool LocalDisk { get; init; }

    /// <exception cref="JsonException">Not JSON, or a key that is not known.</exception>
    public static PlanDescription Parse(string json) =>
        JsonSerializer.Deserialize(json, PlanDescriptionJson.Default.PlanDescription)
        ?? throw new JsonException("The file is empty.");
}

/// <summary>One of: a preset's name, the path of a config.json, or a shape in numbers.</summary>
internal sealed record PlanModel
{
    public string? Preset { get; init; }

    public string? Config { get; init; }

    public PlanShape? Shape { get; init; }
}

/// <summary>A LLaMA-like shape; kv heads default to the heads.</summary>
internal sealed record PlanShape
{
    public string Name { get; init; } = "model";

    public int Layers { get; init; }

    public int Hidden { get; init; }

    public int Heads { get; init; }

    public int? KvHeads { get; init; }

    public int Intermediate { get; init; }

    public int Vocabulary { get; init; }

    public int Context { get; init; } = 4096;

    /// <summary>float32, float16 or bfloat16.</summary>
    public string Type { get; init; } = "bfloat16";
}

internal sealed record PlanKind
{
    public string Name { get; init; } = "";

    public double MemoryGib { get; init; }

    /// <summary>Gigabytes per second that a matrix-vector product reads.</summary>
    public double WeightGbps { get; init; }

    public double Tflops { get; init; }

    public double LayerOverheadMicroseconds { get; init; } = 20;

    public double PricePerHour { get; init; }
}

/// <summary>Instances that are alike.</summary>
internal sealed record PlanInstances
{
    /// <summary>The instance's name; with a count above 1 a number is appended.</summary>
    public string Name { get; init; } = "node";

    public int Count { get; init; } = 1;

    public string Kind { get; init; } = "T4";

    public int Devices { get; init; } = 1;

    /// <summary>Seconds until the cloud takes them; none: they stay.</summary>
    public double? LeavesInSeconds { get; init; }

    /// <summary>Whether they hold nothing yet and are not part of the current layout.</summary>
    public bool Joins { get; init; }
}

/// <summary>Gigabits per second, one way.</summary>
internal sealed record PlanLinks
{
    public double IntraNodeGbits { get; init; } = 50;

    public double InterNodeGbits { get; init; } = 50;

    public double DiskGbits { get; init; } = 8;

    public double StoreGbits { get; init; } = 2;

    public double LatencyMicroseconds { get; init; } = 100;
}

internal sealed record PlanLoad
{
    public double RequestsPerSecond { get; init; } = 0.1;

    public int PromptTokens { get; init; } = 512;

    public int OutputTokens { get; init; } = 128;
}

internal sealed record PlanCurrent
{
    public int Replicas { get; init; } = 1;

    public int Stages { get; init; } = 1;

    public int Ranks { get; init; } = 1;

    public int BatchSize { get; init; } = 1;

    /// <summary>Tokens that each of the batch's requests has in the cache.</summary>
    public int CachedTokens { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(PlanDescription))]
internal sealed partial class PlanDescriptionJson : JsonSerializerContext;
