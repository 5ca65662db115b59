using System.Net;
using Microsoft.Extensions.DependencyInjection.Extensions;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Api;

/// <summary>Puts the HTTP interface into a web application.</summary>
public static partial class ApiHosting
{
    /// <summary>Adds the interface. <see cref="IGenerationClient"/>, <see cref="IClusterOperator"/> and
    /// <see cref="CompletionModel"/> must be registered as singletons beside it.</summary>
    public static IServiceCollection AddCompletionApi(this IServiceCollection services, ApiOptions options)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(options);
        services.AddSingleton<CompletionReader>();
        services.AddSingleton<CompletionResponse>();
        services.AddSingleton<CompletionEndpoints>();
        services.AddSingleton<RequestEndpoints>();
        services.AddSingleton<StatusEndpoints>();
        services.AddSingleton<AdminEndpoints>();
        return services;
    }

    /// <summary>Maps all paths, and an answer in OpenAI's form for the unknown ones.</summary>
    public static void MapCompletionApi(this WebApplication app)
    {
        var completions = app.Services.GetRequiredService<CompletionEndpoints>();
        var requests = app.Services.GetRequiredService<RequestEndpoints>();
        var status = app.Services.GetRequiredService<StatusEndpoints>();
        var admin = app.Services.GetRequiredService<AdminEndpoints>();
        var log = app.Services.GetRequiredService<ILogger<CompletionEndpoints>>();

        app.MapPost("/v1/completions", Edge(log, completions.PostAsync));
        app.MapGet("/v1/requests/{id}", Edge(log, http => requests.GetAsync(http, (string)http.GetRouteValue("id")!)));
        app.MapGet("/v1/models", status.GetModelsAsync);
        app.MapGet("/health", StatusEndpoints.GetHealthAsync);
        app.MapGet("/ready", status.GetReadyAsync);
        app.MapGet("/admin/replicas", status.GetReplicasAsync);
        app.MapGet("/admin/reconfigurations", Edge(log, admin.GetReconfigurationsAsync));
        app.MapPost("/admin/layout", Edge(log, admin.ChangeLayoutAsync));
        app.MapPost("/admin/nodes/{node}/preempt", Edge(log, admin.PreemptAsync));
        app.MapGet("/", status.GetFrontAsync);
        app.MapFallback(Edge(log, http => throw new ApiException(
            HttpStatusCode.NotFound, $"There is no {http.Request.Method} {http.Request.Path}.", code: "not_found")));
    }

    /// <summary>The edge of the process: what went wrong becomes an answer here, and nowhere else.</summary>
    private static RequestDelegate Edge(ILogger log, RequestDelegate handle) => async http =>
    {
        try
        {
            await handle(http).ConfigureAwait(false);
        }
        catch (ApiException error) when (!http.Response.HasStarted)
        {
            await error.WriteAsync(http).ConfigureAwait(false);
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            // The client is gone; there is nobody to tell.
        }
        catch (Exception error) when (!http.Response.HasStarted && error is not BadHttpRequestException)
        {
            LogFailed(log, http.Request.Path, error);
            var answer = new ApiException(
                HttpStatusCode.InternalServerError, "This server failed; its log says why.", code: "internal_error");
            await answer.WriteAsync(http).ConfigureAwait(false);
        }
    };

    [LoggerMessage(Level = LogLevel.Error, Message = "{Path} failed")]
    private static partial void LogFailed(ILogger log, string path, Exception error);
}
