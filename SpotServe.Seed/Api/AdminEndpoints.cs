using System.Globalization;
using System.Net;
using System.Text.Json;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Api;

/// <summary>An operator's orders to the cluster, and its timeline.</summary>
internal sealed class AdminEndpoints(IClusterOperator cluster, IFleetOperator fleet, ApiOptions options)
{
    private const double GraceMax = 3600;

    /// <summary>POST /admin/nodes/{node}/preempt?seconds=30: as if the node's cloud had given it notice.</summary>
    public async Task PreemptAsync(HttpContext http)
    {
        await JsonBody.CheckEmptyAsync(http).ConfigureAwait(false);
        var text = (string?)http.Request.Query["seconds"] ?? "30";
        if (!double.TryParse(text, CultureInfo.InvariantCulture, out var seconds)
            || seconds is not (>= 0 and <= GraceMax))
        {
            throw ApiException.BadField("seconds", $"is {RequestFields.Shorten(text)}; it must be 0 to {GraceMax}.");
        }

        var node = Uri.UnescapeDataString((string)http.GetRouteValue("node")!);
        var refusal = await AskAsync(() => cluster.PreemptAsync(
            node, TimeSpan.FromSeconds(seconds), http.RequestAborted)).ConfigureAwait(false);
        if (refusal is not null) throw new ApiException(HttpStatusCode.NotFound, refusal, "node", "not_found");
        await AcceptAsync(http, $"node {node} leaves in {seconds} s").ConfigureAwait(false);
    }

    /// <summary>POST /admin/layout {"layout": "1,2,2"}, or null to let the cluster choose.</summary>
    public async Task ChangeLayoutAsync(HttpContext http)
    {
        using var body = await JsonBody.ReadAsync(http).ConfigureAwait(false);
        var text = LayoutOf(body.RootElement);
        LayoutDegrees? wanted;
        try
        {
            wanted = text is null ? null : LayoutConstraints.Parse(text, batchSize: 1);
        }
        catch (Exception error) when (error is FormatException or ArgumentException)
        {
            throw ApiException.BadField("layout", $"is {RequestFields.Shorten(text!)}: {error.Message}");
        }

        var refusal = await AskAsync(() => cluster.ChangeLayoutAsync(wanted, http.RequestAborted))
            .ConfigureAwait(false);
        if (refusal is not null)
        {
            throw new ApiException(HttpStatusCode.Conflict, refusal, "layout", "layout_impossible");
        }

        var what = text is null ? "the cluster chooses" : $"layout {text} as soon as it fits";
        await AcceptAsync(http, what).ConfigureAwait(false);
    }

    /// <summary>An operator's order says what it wants in so many words: a wrong name must not undo the last
    /// one.</summary>
    private static string? LayoutOf(JsonElement body)
    {
        var members = body.EnumerateObject().Select(RequestFields.NameOf).ToArray();
        if (members.FirstOrDefault(name => name != "layout") is { } other)
            throw ApiException.BadField(other, "is not known; \"layout\" is the only field.");
        if (members.Length == 0)
            throw ApiException.BadField("layout", "is missing: give \"D,P,M\", or null to let the cluster choose.");
        return new RequestFields(body).Text("layout");
    }

    /// <summary>POST /admin/objective {"objective": "latency"}: "throughput", "slo" with "target_seconds" and "share",
    /// or null for one replica over all devices.</summary>
    public async Task ChangeObjectiveAsync(HttpContext http)
    {
        using var body = await JsonBody.ReadAsync(http).ConfigureAwait(false);
        string[] known = ["objective", "target_seconds", "share"];
        var names = body.RootElement.EnumerateObject().Select(RequestFields.NameOf).ToArray();
        if (names.FirstOrDefault(name => !known.Contains(name)) is { } other)
            throw ApiException.BadField(other, $"is not known; these are: {string.Join(", ", known)}.");
        var fields = new RequestFields(body.RootElement);
        LayoutObjective? objective = fields.Text("objective") switch
        {
            "latency" => new LayoutObjective(Objective.Latency),
            "throughput" => new LayoutObjective(Objective.Throughput),
            "slo" => new LayoutObjective(Objective.Slo)
            {
                SloTarget = TimeSpan.FromSeconds(fields.Number("target_seconds", 10, 0.01, 3600)),
                SloShare = fields.Number("share", 0.99, 0.5, 0.9999),
            },
            null when names.Contains("objective") => null,
            null => throw ApiException.BadField(
                "objective", "is missing: give latency, throughput or slo, or null for one replica over all devices."),
            var text => throw ApiException.BadField(
                "objective", $"is {RequestFields.Shorten(text)}; it must be latency, throughput, slo or null."),
        };
        if (objective?.Kind != Objective.Slo && names.Length > 1)
            throw ApiException.BadField(names.First(name => name != "objective"), "is for the objective slo only.");
        await AskAsync(async () =>
        {
            await cluster.ChangeObjectiveAsync(objective, http.RequestAborted).ConfigureAwait(false);
            return true;
        }).ConfigureAwait(false);
        var what = objective is null ? "one replica over all devices" : $"layouts are chosen for {objective}";
        await AcceptAsync(http, what).ConfigureAwait(false);
    }

    /// <summary>GET /admin/reconfigurations: the latest hundred, oldest first.</summary>
    public async Task GetReconfigurationsAsync(HttpContext http)
    {
        var timeline = await AskAsync(() => cluster.TimelineAsync(http.RequestAborted)).ConfigureAwait(false);
        await http.Response.WriteAsJsonAsync(
            new ReconfigurationsBody([.. timeline.Select(ReconfigurationBody.Of)]),
            ApiJson.Plain.ReconfigurationsBody,
            cancellationToken: http.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>GET /admin/fleet: the machines, which more or fewer the cluster wants, and what the fleet manager did
    /// about it.</summary>
    public async Task GetFleetAsync(HttpContext http)
    {
        var told = await AskAsync(() => cluster.FleetAsync(http.RequestAborted)).ConfigureAwait(false);
        var report = await fleet.ReportAsync(http.RequestAborted).ConfigureAwait(false);
        var body = FleetBody.Of(told, report);
        await http.Response.WriteAsJsonAsync(
            body, ApiJson.Plain.FleetBody, cancellationToken: http.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>POST /admin/fleet {"machines": 5}: the fleet has at least so many machines from now on.</summary>
    public async Task ChangeFleetAsync(HttpContext http)
    {
        using var body = await JsonBody.ReadAsync(http).ConfigureAwait(false);
        var names = body.RootElement.EnumerateObject().Select(RequestFields.NameOf).ToArray();
        if (names.FirstOrDefault(name => name != "machines") is { } other)
            throw ApiException.BadField(other, "is not known; \"machines\" is the only field.");
        var fields = new RequestFields(body.RootElement);
        if (!fields.Has("machines"))
            throw ApiException.BadField("machines", "is missing: give the least number of machines.");
        var machines = (int)fields.Integer("machines", 0, 0, FleetLimits.SizeMax);
        var refusal = await fleet.ChangeSizeAsync(machines, isMore: false, http.RequestAborted).ConfigureAwait(false);
        if (refusal is not null)
            throw new ApiException(HttpStatusCode.Conflict, refusal, "machines", "fleet_impossible");
        await AcceptAsync(http, $"at least {machines} machines").ConfigureAwait(false);
    }

    /// <summary>GET /admin/planning-input: what the latest decision was made from, and what one would be made from
    /// now; `plan --input` reads it.</summary>
    public async Task GetPlanningInputAsync(HttpContext http)
    {
        var json = await AskAsync(() => cluster.PlanningInputsAsync(http.RequestAborted)).ConfigureAwait(false);
        http.Response.ContentType = "application/json; charset=utf-8";
        await http.Response.WriteAsync(json, http.RequestAborted).ConfigureAwait(false);
    }

    private async Task<T> AskAsync<T>(Func<Task<T>> ask)
    {
        try
        {
            return await ask().ConfigureAwait(false);
        }
        catch (PlannerSilentException error)
        {
            throw new ApiException(
                HttpStatusCode.ServiceUnavailable,
                error.Message,
                code: "planner_silent",
                retryAfter: options.RetryAfter);
        }
    }

    private static Task AcceptAsync(HttpContext http, string what)
    {
        http.Response.StatusCode = StatusCodes.Status202Accepted;
        return http.Response.WriteAsJsonAsync(
            new HealthBody(what), ApiJson.Plain.HealthBody, cancellationToken: http.RequestAborted);
    }
}

/// <summary>GET /admin/reconfigurations.</summary>
internal sealed record ReconfigurationsBody(IReadOnlyList<ReconfigurationBody> Reconfigurations);

/// <summary>One reconfiguration; times in milliseconds, sizes in bytes.</summary>
internal sealed record ReconfigurationBody(
    long Epoch,
    string Cause,
    DateTimeOffset StartedAt,
    string? From,
    string To,
    IReadOnlyList<PhaseBody> Phases,
    long WeightsReused,
    long WeightsFromPeers,
    long WeightsFromDisk,
    long PagesCopied,
    double? PauseMs,
    int Sequences,
    int NotHandedOver,
    long TokensRecomputed,
    string Outcome,
    IReadOnlyList<DepartedNodeBody> Gone,
    int RequestsResumed,
    double? ResumedAfterMs,
    string Story)
{
    public static ReconfigurationBody Of(ReconfigurationRecord record) => new(
        record.Epoch.Value,
        record.Cause,
        record.StartedAt,
        record.From?.ToString(),
        record.To.ToString(),
        [.. record.Phases.Select(phase => new PhaseBody(
            phase.Name, phase.Start.TotalMilliseconds, phase.Duration.TotalMilliseconds))],
        record.Weights.Reused,
        record.Weights.Peers,
        record.Weights.Folder,
        record.PageBytes,
        record.Pause?.TotalMilliseconds,
        record.Sequences,
        record.NotHandedOver,
        record.TokensRecomputed + (record.Resumed?.Tokens ?? 0),
        record.Outcome,
        [.. record.Gone.Select(DepartedNodeBody.Of)],
        record.Resumed?.Requests ?? 0,
        record.Resumed?.After?.TotalMilliseconds,
        record.Story());
}

/// <param name="NoticedBy">"closed connections", "silence", "membership", "notice" or "operator".</param>
internal sealed record DepartedNodeBody(string Node, string NoticedBy)
{
    public static DepartedNodeBody Of(DepartedNode gone) => new(gone.Node, gone.By switch
    {
        Actors.Cluster.NoticedBy.ClosedConnections => "closed connections",
        var by => by.ToString().ToLowerInvariant(),
    });
}

/// <param name="StartMs">From the reconfiguration's start.</param>
internal sealed record PhaseBody(string Name, double StartMs, double DurationMs);
