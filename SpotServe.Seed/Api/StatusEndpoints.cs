using System.Globalization;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Api;

/// <summary>What is served and whether it is: for people, load balancers and OpenAI clients.</summary>
internal sealed class StatusEndpoints(
    IGenerationClient cluster, CompletionModel model, ApiOptions options, TimeProvider time)
{
    private const string Example =
        """{"prompt": "Once upon a time", "max_tokens": 100, "temperature": 0, "stream": true}""";

    private readonly long _started = time.GetUtcNow().ToUnixTimeSeconds();

    private ModelBody Model => new(model.Name, "model", _started, "spotserve", model.Name)
    {
        MaxModelLen = cluster.Status.ContextMax is > 0 and var tokens ? tokens : null,
    };

    public Task GetModelsAsync(HttpContext http) => http.Response.WriteAsJsonAsync(
        new ModelListBody("list", [Model]), ApiJson.Plain.ModelListBody, cancellationToken: http.RequestAborted);

    /// <summary>GET /v1/models/{id}; ids of models may have slashes.</summary>
    public Task GetModelAsync(HttpContext http)
    {
        var id = (string)http.GetRouteValue("id")!;
        if (id != model.Name) throw ApiException.ModelNotFound(id, model.Name);
        return http.Response.WriteAsJsonAsync(
            Model, ApiJson.Plain.ModelBody, cancellationToken: http.RequestAborted);
    }

    /// <summary>The process lives; says nothing of the cluster.</summary>
    public static Task GetHealthAsync(HttpContext http) => http.Response.WriteAsJsonAsync(
        new HealthBody("ok"), ApiJson.Plain.HealthBody, cancellationToken: http.RequestAborted);

    public Task GetReadyAsync(HttpContext http)
    {
        var status = cluster.Status;
        var isReady = status is { Serving: true, JournalTrouble: null, GatewayTrouble: null };
        if (!isReady)
        {
            http.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            var seconds = Math.Max(1, (long)options.RetryAfter.TotalSeconds);
            http.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        }

        return http.Response.WriteAsJsonAsync(
            new ReadyBody(
                isReady ? "ready" : "not_ready",
                Reason(status),
                model.Name,
                status.ContextMax,
                new LayoutPart(status.Serving, status.Epoch.Value, status.StatusLine),
                new JournalPart(status.JournalTrouble is null, status.JournalTrouble, status.JournalDamages),
                new GatewayPart(
                    status.GatewayTrouble is null, status.GatewayTrouble, status.OpenRequests, status.OpenRequestsMax)),
            ApiJson.Plain.ReadyBody,
            cancellationToken: http.RequestAborted);
    }

    /// <summary>One line: the first thing that is in the way, else what serves.</summary>
    private static string Reason(ServiceStatus status) =>
        status.JournalTrouble is { } journal ? $"the journal takes no writes: {journal}"
        : status.GatewayTrouble is { } gateway ? gateway
        : status.StatusLine;

    /// <summary>The replicas' queues and pages, as they last reported them.</summary>
    public Task GetReplicasAsync(HttpContext http)
    {
        var status = cluster.Status;
        var replicas = status.Replicas.Select(load => new ReplicaBody(
            load.Replica, load.Queued, load.Running, load.FreePages, load.PageCount, load.Steps, load.TokensGenerated));
        return http.Response.WriteAsJsonAsync(
            new ReplicasBody(status.Epoch.Value, [.. replicas]),
            ApiJson.Plain.ReplicasBody,
            cancellationToken: http.RequestAborted);
    }

    public Task GetFrontAsync(HttpContext http)
    {
        var status = cluster.Status;
        http.Response.ContentType = "text/plain; charset=utf-8";
        return http.Response.WriteAsync(
            $$"""
            SpotServe serves {{model.Name}} ({{(status.Serving ? "ready" : "not ready")}}: {{status.StatusLine}})

            curl -N {{http.Request.Scheme}}://{{http.Request.Host}}/v1/completions \
              -H 'Content-Type: application/json' -d '{{Example}}'

            POST /v1/completions     OpenAI's; {{CompletionEndpoints.DetachHeader}}: true goes on without you
            POST /v1/chat/completions             the same for conversations, by the model's chat template
            GET  /v1/requests/{id}   a request's text so far; as a stream with Last-Event-ID
            DELETE /v1/requests/{id} ends it
            GET  /v1/models          what is served; /v1/models/{id} too
            GET  /ready  /health     does a layout serve; does the process live
            POST /tokenize  /detokenize           a prompt's token ids, and back
            GET  /version            of this server
            GET  /dashboard          all of it in a browser
            GET  /admin/cluster      nodes, layout, load and what changed, as the dashboard shows them
            GET  /metrics            the whole cluster's, for Prometheus
            GET  /admin/replicas     queues and cache pages
            GET  /admin/requests     requests that have not ended, whoever reads them
            GET  /admin/reconfigurations          what changed, why, and what it cost
            GET  /admin/fleet                     machines, which more or fewer are wanted, what was done
            GET  /admin/planning-input            what layouts are decided from; plan --input reads it
            POST /admin/layout                    {"layout": "1,2,2"}: serve with other degrees
            POST /admin/fleet                     {"machines": 5}: as many machines as that, at least
            POST /admin/objective                 {"objective": "latency"}: what layouts are chosen for
            POST /admin/nodes/{node}/preempt      ?seconds=30: as if its cloud took it away

            """,
            http.RequestAborted);
    }
}
