using System.Text.Json;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Commands;

/// <summary>A plan as a machine reads it. Bytes are numbers, times are seconds; names are camelCase and only ever added
/// to.</summary>
internal static class PlanJson
{
    private static readonly JsonWriterOptions Indented = new() { Indented = true };

    public static void Write(Stream output, Reconfiguration plan, LinkRates links)
    {
        using var json = new Utf8JsonWriter(output, Indented);
        json.WriteStartObject();
        if (plan.Selected.Search is { } search) Write(json, search);
        Layout(json, plan);
        Positions(json, plan);
        Migration(json, plan.Migration, links);
        CutOver(json, plan.CutOver);
        json.WriteEndObject();
    }

    /// <summary>Left out when nothing was searched: without an objective, or for degrees that were asked for.</summary>
    private static void Write(Utf8JsonWriter json, SearchResult search)
    {
        json.WriteBoolean("overloaded", search.IsOverloaded);
        json.WriteNumber("spareInstances", search.SpareInstances);
        json.WritePropertyName("chosen");
        Write(json, search.Chosen);
        json.WriteStartArray("alternatives");
        foreach (var candidate in search.Alternatives) Write(json, candidate);
        json.WriteEndArray();
    }

    private static void Layout(Utf8JsonWriter json, Reconfiguration plan)
    {
        var degrees = plan.Layout.Degrees;
        json.WriteStartObject("layout");
        json.WriteNumber("replicas", degrees.Replicas);
        json.WriteNumber("stages", degrees.Stages);
        json.WriteNumber("ranks", degrees.Ranks);
        json.WriteNumber("batchSize", degrees.BatchSize);
        json.WriteStartArray("pages");
        foreach (var count in plan.Pages.Counts) json.WriteNumberValue(count);
        json.WriteEndArray();
        json.WriteBoolean("keepsServing", plan.Pages.KeepsServing);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, Candidate candidate)
    {
        json.WriteStartObject();
        json.WriteNumber("replicas", candidate.Degrees.Replicas);
        json.WriteNumber("stages", candidate.Degrees.Stages);
        json.WriteNumber("ranks", candidate.Degrees.Ranks);
        json.WriteNumber("batchSize", candidate.Degrees.BatchSize);
        Number(json, "latencySeconds", candidate.LatencySeconds);
        Number(json, "executionSeconds", candidate.ExecutionSeconds);
        Number(json, "waitSeconds", candidate.WaitSeconds);
        Number(json, "requestsPerSecond", candidate.Throughput);
        Number(json, "costPerHour", candidate.CostPerHour);
        json.WriteNumber("instances", candidate.InstanceCount);
        json.WriteNumber("memoryBytes", candidate.MemoryBytes);
        Number(json, "inTargetProbability", candidate.InTargetProbability);
        json.WriteEndObject();
    }

    private static void Positions(Utf8JsonWriter json, Reconfiguration plan)
    {
        var layout = plan.Mapping.Layout;
        json.WriteNumber("reusedBytes", plan.Mapping.ReusedBytes);
        json.WriteStartArray("mapping");
        foreach (var position in layout.Positions)
        {
            json.WriteStartObject();
            json.WriteNumber("replica", position.Replica);
            json.WriteNumber("stage", position.Stage);
            json.WriteNumber("rank", position.Rank);
            json.WriteString("device", layout.DeviceAt(position).ToString());
            json.WriteNumber("firstLayer", layout.LayersOf(position).First);
            json.WriteNumber("endLayer", layout.LayersOf(position).End);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void Migration(Utf8JsonWriter json, MigrationPlan plan, LinkRates links)
    {
        json.WriteStartObject("migration");
        json.WriteString("mode", plan.Mode == MigrationMode.CopyWhileServing ? "copyWhileServing" : "stopThenMigrate");
        Number(json, "preCopySeconds", plan.PreCopy.TotalSeconds);
        Number(json, "pauseSeconds", plan.Pause.TotalSeconds);
        json.WriteNumber("intraNodeBytes", plan.Moved.IntraNode);
        json.WriteNumber("interNodeBytes", plan.Moved.InterNode);
        json.WriteNumber("diskBytes", plan.Moved.Disk);
        json.WriteNumber("storeBytes", plan.Moved.Store);
        json.WriteNumber("peakBytes", plan.PeakBytes.Max());
        json.WriteBoolean("cacheGivenUp", plan.CacheGivenUp);
        json.WriteStartArray("notes");
        foreach (var note in plan.Notes) json.WriteStringValue(note);
        json.WriteEndArray();
        json.WriteStartArray("links");
        foreach (var load in plan.LinkLoads(links))
        {
            json.WriteStartObject();
            json.WriteString("node", load.Node);
            json.WriteString("link", JsonNamingPolicy.CamelCase.ConvertName(load.Link.ToString()));
            json.WriteNumber("bytes", load.Bytes);
            Number(json, "busySeconds", load.Busy.TotalSeconds);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("steps");
        foreach (var step in plan.Steps)
        {
            json.WriteStartObject();
            json.WriteNumber("id", step.Id);
            json.WriteString("kind", Kind(step));
            json.WriteString("text", step.ToString());
            json.WriteNumber("bytes", step.Bytes);
            Number(json, "beginSeconds", step.Start.TotalSeconds);
            Number(json, "endSeconds", step.Finish.TotalSeconds);
            json.WriteStartArray("after");
            foreach (var before in step.After) json.WriteNumberValue(before);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void CutOver(Utf8JsonWriter json, CutOver cutOver)
    {
        json.WriteStartObject("cutOver");
        json.WriteString("text", PlanText.CutOver(cutOver));
        json.WriteBoolean("reroute", cutOver is Actors.Planning.CutOver.Reroute);
        if (cutOver is CutOver.AfterSteps cut)
        {
            json.WriteNumber("steps", cut.Steps);
            Number(json, "atSeconds", cut.At.TotalSeconds);
            Number(json, "pauseSeconds", cut.Pause.TotalSeconds);
            json.WriteBoolean("includesJoin", cut.IncludesJoin);
        }

        json.WriteEndObject();
    }

    private static string Kind(MigrationStep step) => step switch
    {
        MigrationStep.CopyWeights => "copyWeights",
        MigrationStep.CopyCache => "copyCache",
        MigrationStep.StageReady => "stageReady",
        MigrationStep.CutOver => "cutOver",
        MigrationStep.Serve => "serve",
        MigrationStep.FreeWeights => "freeWeights",
        MigrationStep.FreeCache => "freeCache",
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    /// <summary>JSON has no infinity: a wait without end is null.</summary>
    private static void Number(Utf8JsonWriter json, string name, double value)
    {
        if (double.IsFinite(value)) json.WriteNumber(name, value);
        else json.WriteNull(name);
    }
}
