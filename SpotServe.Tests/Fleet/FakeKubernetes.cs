using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace SpotServe.Tests.Fleet;

/// <summary>An HTTP server that answers the calls of Kubernetes' API that the fleet makes, as documented: pods of one
/// namespace, one PodTemplate, and nodes. Objects are kept as they were sent.</summary>
internal sealed class FakeKubernetes : IAsyncDisposable
{
    public const string Space = "serving";
    private readonly WebApplication _app;

    private FakeKubernetes(WebApplication app) => _app = app;

    public ConcurrentDictionary<string, JsonObject> Pods { get; } = new();

    /// <summary>By name: what a node's object says beside it.</summary>
    public ConcurrentDictionary<string, JsonObject> Nodes { get; } = new();

    public JsonObject? Template { get; set; } = Parsed(
        """
        {"kind": "PodTemplate", "apiVersion": "v1", "metadata": {"name": "llm-node"},
         "template": {"metadata": {"labels": {"app": "node"}},
          "spec": {"restartPolicy": "Always", "nodeSelector": {"disk": "fast"},
           "containers": [{"name": "node", "image": "node:1", "args": ["--device", "cuda"]}]}}}
        """);

    /// <summary>Method and path of each call.</summary>
    public ConcurrentQueue<string> Calls { get; } = new();

    /// <summary>Answers that come before any other to a call with this method, once each.</summary>
    public ConcurrentDictionary<string, (int Status, string Reason)> Failures { get; } = new();

    public int PageSize { get; set; } = 100;

    public string Url => _app.Urls.First();

    public static async Task<FakeKubernetes> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var app = builder.Build();
        var fake = new FakeKubernetes(app);
        app.Run(fake.AnswerAsync);
        await app.StartAsync();
        return fake;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    public static JsonObject Parsed(string json) => JsonNode.Parse(json)!.AsObject();

    private async Task AnswerAsync(HttpContext http)
    {
        var path = http.Request.Path.Value!;
        Calls.Enqueue($"{http.Request.Method} {path}");
        if (Failures.TryRemove(http.Request.Method, out var failure))
        {
            await FailAsync(http, failure.Status, failure.Reason);
            return;
        }

        const string Pod = $"/api/v1/namespaces/{Space}/pods";
        const string Node = "/api/v1/nodes/";
        var name = path[(path.LastIndexOf('/') + 1)..];
        await ((http.Request.Method, path) switch
        {
            ("GET", $"/api/v1/namespaces/{Space}/podtemplates/llm-node") => FindAsync(http, Template),
            ("POST", Pod) => CreateAsync(http),
            ("GET", Pod) => ListAsync(http),
            ("GET", _) when path.StartsWith(Pod, StringComparison.Ordinal) =>
                FindAsync(http, Pods.GetValueOrDefault(name)),
            ("GET", _) when path.StartsWith(Node, StringComparison.Ordinal) =>
                FindAsync(http, Nodes.GetValueOrDefault(name)),
            ("DELETE", _) when path.StartsWith(Pod, StringComparison.Ordinal) => DeleteAsync(http, name),
            _ => FailAsync(http, 404, "NotFound"),
        });
    }

    private async Task CreateAsync(HttpContext http)
    {
        var pod = (await JsonNode.ParseAsync(http.Request.Body))!.AsObject();
        pod["status"] = Parsed("""{"phase": "Pending"}""");
        if (Pods.TryAdd((string)pod["metadata"]!["name"]!, pod)) await WriteAsync(http, pod, 201);
        else await FailAsync(http, 409, "AlreadyExists");
    }

    private Task ListAsync(HttpContext http)
    {
        var wanted = http.Request.Query["labelSelector"].ToString().Split('=');
        var from = int.Parse(
            http.Request.Query["continue"] is [{ Length: > 0 } next, ..] ? next : "0", CultureInfo.InvariantCulture);
        var all = Pods.Values.Where(pod => (string?)pod["metadata"]!["labels"]?[wanted[0]] == wanted[1])
            .OrderBy(pod => (string)pod["metadata"]!["name"]!, StringComparer.Ordinal).ToArray();
        var list = Parsed("""{"kind": "PodList", "apiVersion": "v1", "metadata": {}}""");
        list["items"] = new JsonArray([.. all.Skip(from).Take(PageSize).Select(pod => pod.DeepClone())]);
        if (from + PageSize < all.Length)
            list["metadata"]!["continue"] = (from + PageSize).ToString(CultureInfo.InvariantCulture);
        return WriteAsync(http, list);
    }

    /// <summary>As a kubelet does it: the pod has its grace, and is there until it is over.</summary>
    private Task DeleteAsync(HttpContext http, string name)
    {
        if (!Pods.TryGetValue(name, out var pod)) return FailAsync(http, 404, "NotFound");
        if ((string?)pod["status"]!["phase"] is "Succeeded" or "Failed") Pods.TryRemove(name, out _);
        else pod["metadata"]!["deletionTimestamp"] = "2026-11-27T10:00:00Z";
        return WriteAsync(http, pod);
    }

    private static Task FindAsync(HttpContext http, JsonObject? found) =>
        found is null ? FailAsync(http, 404, "NotFound") : WriteAsync(http, found);

    private static Task WriteAsync(HttpContext http, JsonObject content, int status = 200)
    {
        http.Response.StatusCode = status;
        http.Response.ContentType = "application/json";
        return http.Response.WriteAsync(content.ToJsonString());
    }

    private static Task FailAsync(HttpContext http, int status, string reason)
    {
        var told = Parsed("""{"kind": "Status", "apiVersion": "v1", "status": "Failure"}""");
        (told["reason"], told["message"], told["code"]) = (reason, $"{reason}, it says", status);
        return WriteAsync(http, told, status);
    }
}
