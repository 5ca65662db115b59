using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Metrics;
using SpotServe.Actors.ModelFolder;
using SpotServe.Seed.Api;
using SpotServe.Seed.Dashboard;
using SpotServe.Seed.Narration;
using SpotServe.Seed.Templating;
using SpotServe.Seed.Tokenization;
using SpotServe.Tests.Tokenization;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>The API on a real Kestrel at a free loopback port, over a <see cref="FakeCluster"/>.</summary>
internal sealed class ApiServer : IAsyncDisposable
{
    public const string Model = "tinystories-4m";

    private readonly WebApplication _app;

    private ApiServer(WebApplication app, FakeCluster cluster)
    {
        _app = app;
        Cluster = cluster;
        Client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()), Timeout = Waits.Max };
    }

    public FakeCluster Cluster { get; }

    public HttpClient Client { get; }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <param name="vocabulary">Tokens that the model has; null is as many as its tokenizer.</param>
    /// <param name="client">Takes what clients ask for; null is <see cref="Cluster"/>.</param>
    public static async Task<ApiServer> StartAsync(
        ApiOptions? options = null,
        AccessOptions? access = null,
        ITokenizer? tokenizer = null,
        GenerationDefaults? defaults = null,
        ChatTemplate? chatTemplate = null,
        int? vocabulary = null,
        IClusterMetrics? metrics = null,
        IGenerationClient? client = null)
    {
        var cluster = new FakeCluster();
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton(client ?? cluster);
        builder.Services.AddSingleton<IClusterOperator>(cluster.Operator);
        builder.Services.AddSingleton<IFleetOperator>(cluster.Operator);
        var words = tokenizer ?? TokenizerFiles.Bundled;
        defaults ??= new GenerationDefaults([0], null, null, null);
        var model = new CompletionModel(Model, words, defaults) { ChatTemplate = chatTemplate };
        builder.Services.AddSingleton(model with { VocabularySize = vocabulary ?? words.VocabularySize });
        builder.Services.AddSingleton(metrics ?? MetricsHosting.NewClusterMetrics(TimeProvider.System));
        builder.Services.AddCompletionApi(
            options ?? new ApiOptions(), access ?? new AccessOptions { IsLoopback = true });
        // As the seed has it: what the dashboard maps lies beside the paths of the interface.
        builder.Services.AddSingleton(new ClusterBoard());
        builder.Services.AddDashboard(new NodeNames());
        var app = builder.Build();
        app.UseCompletionEdge();
        app.UseDashboard();
        app.MapCompletionApi();
        app.MapDashboard();
        await app.StartAsync(Cancel);
        return new ApiServer(app, cluster);
    }

    public static int[] Ids(string text) => [.. TokenizerFiles.Bundled.Encode(text, addSpecialTokens: false)];

    /// <summary>Stops the server as Ctrl-C does, while responses may be open.</summary>
    public Task StopAsync() => _app.StopAsync(Cancel);

    public async Task<(HttpResponseMessage Response, JsonElement Body)> PostAsync(
        string json, string path = "/v1/completions")
    {
        var response = await Client.PostAsync(path, Json(json), Cancel);
        return (response, JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement);
    }

    public async Task<(HttpResponseMessage Response, JsonElement Body)> GetAsync(string path)
    {
        var response = await Client.GetAsync(path, Cancel);
        return (response, JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement);
    }

    /// <summary>Starts a streamed completion; returns when its headers have come.</summary>
    public Task<SseReader> StreamAsync(string json, params (string Name, string Value)[] headers) =>
        StreamAtAsync("/v1/completions", json, headers);

    /// <summary>Starts a stream at a path, as a client that reads server-sent events; returns when its headers have
    /// come.</summary>
    public async Task<SseReader> StreamAtAsync(string path, string json, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = Json(json) };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        foreach (var (name, value) in headers) request.Headers.Add(name, value);
        return await SseReader.OpenAsync(Client, request, Cancel);
    }

    /// <summary>Reads a request again as a stream.</summary>
    public async Task<SseReader> ResumeAsync(string id, int? lastSeen)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v1/requests/{id}");
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        if (lastSeen is { } index) request.Headers.Add("Last-Event-ID", $"{index}");
        return await SseReader.OpenAsync(Client, request, Cancel);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }

    private static StringContent Json(string json) => new(json, Encoding.UTF8, "application/json");
}

/// <param name="Event">"error" for errors, else null.</param>
internal sealed record SseEvent(string? Event, int? Id, string Data)
{
    public JsonElement Json => JsonDocument.Parse(Data).RootElement;

    public string Text => Json.GetProperty("choices")[0].GetProperty("text").GetString()!;

    public string? Finish => Json.GetProperty("choices")[0].GetProperty("finish_reason").GetString();
}

/// <summary>Reads server-sent events one by one.</summary>
internal sealed class SseReader(HttpResponseMessage response, StreamReader reader) : IDisposable
{
    public HttpResponseMessage Response { get; } = response;

    public static async Task<SseReader> OpenAsync(
        HttpClient client, HttpRequestMessage request, CancellationToken cancel)
    {
        var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        return new SseReader(response, new StreamReader(await response.Content.ReadAsStreamAsync(cancel)));
    }

    /// <summary>The next event, or null at the stream's end.</summary>
    public async Task<SseEvent?> NextAsync()
    {
        string? name = null;
        int? id = null;
        var data = new List<string>();
        while (await reader.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
        {
            if (line.Length == 0) return new SseEvent(name, id, string.Join('\n', data));
            var (field, value) = line.Split(": ", 2) is [var f, var v] ? (f, v) : (line, "");
            if (field == "event") name = value;
            else if (field == "id") id = int.Parse(value, System.Globalization.CultureInfo.InvariantCulture);
            else if (field == "data") data.Add(value);
        }

        return null;
    }

    public async Task<List<SseEvent>> RestAsync()
    {
        var events = new List<SseEvent>();
        while (await NextAsync() is { } next) events.Add(next);
        return events;
    }

    public void Dispose()
    {
        reader.Dispose();
        Response.Dispose();
    }
}
