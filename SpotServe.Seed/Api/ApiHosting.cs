using Microsoft.Extensions.DependencyInjection.Extensions;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Metrics;

namespace SpotServe.Seed.Api;

/// <summary>Puts the HTTP interface into a web application.</summary>
public static class ApiHosting
{
    private static readonly string[] Reading = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>Adds the interface. <see cref="IGenerationClient"/>, <see cref="IClusterOperator"/> and
    /// <see cref="CompletionModel"/> must be registered as singletons beside it.</summary>
    public static IServiceCollection AddCompletionApi(
        this IServiceCollection services, ApiOptions options, AccessOptions access)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton(provider => MetricsHosting.NewClusterMetrics(
            provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(options);
        services.AddSingleton(access);
        services.AddSingleton<OperatorSessions>();
        services.AddSingleton<AccessPolicy>();
        services.AddSingleton<ApiEdge>();
        services.AddSingleton<OpenResponses>();
        services.AddSingleton<CompletionReader>();
        services.AddSingleton<CompletionResponse>();
        services.AddSingleton<TextForm>();
        services.AddSingleton<ChatForm>();
        services.AddSingleton<CompletionRequestReader>();
        services.AddSingleton<ChatRequestReader>();
        services.AddSingleton<RequestEndpoints>();
        services.AddSingleton<StatusEndpoints>();
        services.AddSingleton<AdminEndpoints>();
        services.AddSingleton<MetricsEndpoint>();
        services.AddSingleton<TokenEndpoints>();
        return services;
    }

    /// <summary>Puts the edge before everything else that answers requests.</summary>
    public static void UseCompletionEdge(this WebApplication app)
    {
        app.Use(next => http => RequestTraces.InvokeAsync(http, next));
        var edge = app.Services.GetRequiredService<ApiEdge>();
        app.Use(next => http => edge.InvokeAsync(http, next));
        // Named here so that it comes after the edge: by itself it would come first.
        app.UseRouting();
    }

    /// <summary>Maps all paths behind the edge. Whatever is read can be asked for with HEAD.</summary>
    public static void MapCompletionApi(this WebApplication app)
    {
        var completions = Generating<CompletionRequestReader, TextForm>(app.Services);
        var chats = Generating<ChatRequestReader, ChatForm>(app.Services);
        var requests = app.Services.GetRequiredService<RequestEndpoints>();
        var status = app.Services.GetRequiredService<StatusEndpoints>();
        var admin = app.Services.GetRequiredService<AdminEndpoints>();
        app.MapPost("/v1/completions", completions.PostAsync);
        app.MapPost("/v1/chat/completions", chats.PostAsync);
        app.MapMethods("/v1/requests/{id}", Reading, requests.GetAsync);
        app.MapDelete("/v1/requests/{id}", requests.DeleteAsync);
        app.MapMethods("/admin/requests", Reading, requests.ListAsync);
        app.MapMethods("/v1/models", Reading, status.GetModelsAsync);
        app.MapMethods("/v1/models/{**id}", Reading, status.GetModelAsync);
        app.MapMethods("/health", Reading, StatusEndpoints.GetHealthAsync);
        app.MapMethods("/ready", Reading, status.GetReadyAsync);
        app.MapMethods("/version", Reading, TokenEndpoints.GetVersionAsync);
        app.MapPost("/tokenize", app.Services.GetRequiredService<TokenEndpoints>().TokenizeAsync);
        app.MapPost("/detokenize", app.Services.GetRequiredService<TokenEndpoints>().DetokenizeAsync);
        app.MapMethods("/metrics", Reading, app.Services.GetRequiredService<MetricsEndpoint>().GetAsync);
        app.MapMethods("/admin/replicas", Reading, status.GetReplicasAsync);
        app.MapMethods("/admin/reconfigurations", Reading, admin.GetReconfigurationsAsync);
        app.MapMethods("/admin/fleet", Reading, admin.GetFleetAsync);
        app.MapMethods("/admin/planning-input", Reading, admin.GetPlanningInputAsync);
        app.MapPost("/admin/layout", admin.ChangeLayoutAsync);
        app.MapPost("/admin/fleet", admin.ChangeFleetAsync);
        app.MapPost("/admin/objective", admin.ChangeObjectiveAsync);
        app.MapPost("/admin/nodes/{node}/preempt", admin.PreemptAsync);
        app.MapMethods(AccessPolicy.LoginPath, Reading, LoginEndpoints.GetAsync);
        app.MapPost(
            AccessPolicy.LoginPath, ActivatorUtilities.CreateInstance<LoginEndpoints>(app.Services).PostAsync);
        app.MapMethods("/", Reading, status.GetFrontAsync);
    }

    private static CompletionEndpoints Generating<TReader, TForm>(IServiceProvider services)
        where TReader : IGenerationRequestReader
        where TForm : CompletionForm => new(
            services.GetRequiredService<IGenerationClient>(),
            services.GetRequiredService<TReader>(),
            services.GetRequiredService<TForm>(),
            services.GetRequiredService<CompletionResponse>(),
            services.GetRequiredService<OpenResponses>());
}
