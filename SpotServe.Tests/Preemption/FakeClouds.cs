using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace SpotServe.Tests.Preemption;

/// <summary>EC2's metadata service, as far as its documentation describes what a spot instance asks.</summary>
internal sealed class FakeAws
{
    private int _tokens;

    /// <summary>Body at spot/instance-action; null: 404.</summary>
    public string? Action { get; set; }

    /// <summary>Body at events/recommendations/rebalance; null: 404.</summary>
    public string? Rebalance { get; set; }

    /// <summary>Status of the recommendation alone; null: what belongs there.</summary>
    public int? RebalanceStatus { get; set; }

    /// <summary>What the Date header says; null: nothing.</summary>
    public DateTimeOffset? Date { get; set; }

    /// <summary>The token given out last is good no more.</summary>
    public void ForgetTokens() => _tokens++;

    public Task AnswerAsync(HttpContext context)
    {
        var (request, response) = (context.Request, context.Response);
        if (Date is { } date) response.Headers.Date = date.ToString("R");
        if (request.Path == "/latest/api/token")
        {
            if (request.Method != "PUT" || request.Headers["X-aws-ec2-metadata-token-ttl-seconds"].Count == 0)
            {
                response.StatusCode = 400;
                return Task.CompletedTask;
            }

            return response.WriteAsync($"token-{_tokens}");
        }

        if (request.Headers["X-aws-ec2-metadata-token"] != $"token-{_tokens}")
        {
            response.StatusCode = 401;
            return Task.CompletedTask;
        }

        var body = request.Path.Value switch
        {
            "/latest/meta-data/spot/instance-action" => Action,
            "/latest/meta-data/events/recommendations/rebalance" => Rebalance,
            _ => null,
        };
        if (body is null) response.StatusCode = 404;
        if (RebalanceStatus is { } status && request.Path.Value!.EndsWith("rebalance", StringComparison.Ordinal))
            response.StatusCode = status;
        return body is null ? Task.CompletedTask : response.WriteAsync(body);
    }
}

/// <summary>Azure's Scheduled Events.</summary>
internal sealed class FakeAzure
{
    public const string Machine = "gpu-17";

    /// <summary>The list of events.</summary>
    public object[] Events { get; set; } = [];

    /// <summary>Events that were acknowledged.</summary>
    public List<string> Started { get; } = [];

    public static object Event(string id, string type, string notBefore, params string[] machines) => new
    {
        EventId = id,
        EventType = type,
        ResourceType = "VirtualMachine",
        Resources = machines,
        EventStatus = notBefore.Length == 0 ? "Started" : "Scheduled",
        NotBefore = notBefore,
        Description = "",
        EventSource = "Platform",
        DurationInSeconds = -1,
    };

    public async Task AnswerAsync(HttpContext context)
    {
        var (request, response) = (context.Request, context.Response);
        if (request.Headers["Metadata"] != "true")
        {
            response.StatusCode = 400;
            return;
        }

        switch (request.Path.Value, request.Method)
        {
            case ("/metadata/instance/compute/name", "GET"):
                await response.WriteAsync(Machine);
                break;
            case ("/metadata/scheduledevents", "GET"):
                await response.WriteAsJsonAsync(
                    new { DocumentIncarnation = 1, Events }, new JsonSerializerOptions { PropertyNamingPolicy = null });
                break;
            case ("/metadata/scheduledevents", "POST"):
                using (var body = await JsonDocument.ParseAsync(request.Body))
                {
                    foreach (var start in body.RootElement.GetProperty("StartRequests").EnumerateArray())
                        Started.Add(start.GetProperty("EventId").GetString()!);
                }

                break;
            default:
                response.StatusCode = 404;
                break;
        }
    }
}

/// <summary>Google's metadata server, which holds an answer back until the value changes.</summary>
internal sealed class FakeGcp
{
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _tag;

    public string Preempted { get; private set; } = "FALSE";

    public string Maintenance { get; set; } = "NONE";

    /// <summary>The answer about maintenance waits for it; null: nothing.</summary>
    public Task? MaintenanceHeld { get; set; }

    public bool HasTags { get; set; } = true;

    /// <summary>Answers that are held back now.</summary>
    public SemaphoreSlim Held { get; } = new(0);

    /// <summary>Answers given.</summary>
    public int Answers { get; private set; }

    /// <summary>Changes the value; also to the one that it has, which ends the wait as a time-out does.</summary>
    public void Change(string preempted)
    {
        Preempted = preempted;
        _tag++;
        Interlocked.Exchange(ref _changed, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
    }

    public async Task AnswerAsync(HttpContext context)
    {
        var (request, response) = (context.Request, context.Response);
        response.Headers["Metadata-Flavor"] = "Google";
        if (request.Headers["Metadata-Flavor"] != "Google")
        {
            response.StatusCode = 403;
            return;
        }

        switch (request.Path.Value)
        {
            case "/computeMetadata/v1/instance/preempted":
                var changed = _changed.Task;
                if (request.Query["wait_for_change"] == "true" && request.Query["last_etag"] == $"{_tag:x8}")
                {
                    Held.Release();
                    await changed.WaitAsync(context.RequestAborted);
                }

                Answers++;
                if (HasTags) response.Headers["ETag"] = $"{_tag:x8}";   // Without quotes, as Google sends it.
                await response.WriteAsync(Preempted);
                break;
            case "/computeMetadata/v1/instance/maintenance-event":
                if (MaintenanceHeld is { } held) await held.WaitAsync(context.RequestAborted);
                await response.WriteAsync(Maintenance);
                break;
            default:
                response.StatusCode = 404;
                break;
        }
    }
}
