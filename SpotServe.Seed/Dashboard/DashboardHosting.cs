using Microsoft.AspNetCore.Components.Server;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.SignalR;
using SpotServe.Actors.Gateway;
using SpotServe.Seed.Api;
using SpotServe.Seed.Dashboard.Components;
using SpotServe.Seed.Dashboard.Live;
using SpotServe.Seed.Fleet;
using SpotServe.Seed.Narration;

namespace SpotServe.Seed.Dashboard;

/// <summary>Puts the dashboard beside the HTTP interface: /dashboard, and what its pages load.</summary>
internal static class DashboardHosting
{
    /// <summary>The assembly's files are listed under its name, whatever program runs it.</summary>
    private const string Manifest = "SpotServe.Seed.staticwebassets.endpoints.json";

    private const string StaticAssetsReload = "ReloadStaticAssetsAtRuntime";

    /// <summary>Pages that lost their connection and may come back to where they were.</summary>
    private const int LostPagesMax = 16;

    private const int MessageBytesMax = 32 * 1024;

    /// <summary>Adds the dashboard. <see cref="ClusterBoard"/>, <see cref="IClusterOperator"/> and what the HTTP
    /// interface needs must be registered beside it.</summary>
    public static IServiceCollection AddDashboard(this IServiceCollection services, NodeNames names)
    {
        services.AddSingleton(names);
        services.AddSingleton<LocalNodes>();
        services.AddSingleton<FleetWatch>();
        services.AddSingleton<ClusterWatch>();
        services.AddHostedService(provider => provider.GetRequiredService<ClusterWatch>());
        services.AddSingleton<DashboardGate>();
        // Pages live no longer than the process that made them, so neither do the keys that prove that it did.
        services.AddDataProtection().UseEphemeralDataProtectionProvider();
        services.AddRazorComponents().AddInteractiveServerComponents();
        services.Configure<CircuitOptions>(circuits =>
        {
            circuits.DisconnectedCircuitMaxRetained = LostPagesMax;
            circuits.DisconnectedCircuitRetentionPeriod = TimeSpan.FromMinutes(1);
            circuits.PersistedCircuitInMemoryMaxRetained = LostPagesMax;
            circuits.PersistedCircuitInMemoryRetentionPeriod = TimeSpan.FromMinutes(5);
        });
        services.Configure<HubOptions>(hub => hub.MaximumReceiveMessageSize = MessageBytesMax);
        return services;
    }

    /// <summary>Comes between routing and the first endpoint.</summary>
    public static void UseDashboard(this WebApplication app)
    {
        var gate = app.Services.GetRequiredService<DashboardGate>();
        app.Use(next => http => gate.InvokeAsync(http, next));
        app.UseAntiforgery();
    }

    public static void MapDashboard(this WebApplication app)
    {
        var watch = app.Services.GetRequiredService<ClusterWatch>();
        var names = app.Services.GetRequiredService<NodeNames>();
        app.MapMethods(
            AccessPolicy.AdminPath + "/cluster",
            [HttpMethods.Get, HttpMethods.Head],
            http => http.Response.WriteAsJsonAsync(
                ClusterBody.Of(watch.Latest, names),
                ClusterJson.Plain.ClusterBody,
                cancellationToken: http.RequestAborted));
        // Else a program that was built and not published maps every path, for files that a developer adds meanwhile,
        // and a GET of a path that only takes POST finds that instead of being told so.
        app.Configuration[StaticAssetsReload] = "false";
        app.MapStaticAssets(Path.Combine(AppContext.BaseDirectory, Manifest));
        app.MapRazorComponents<DashboardApp>()
            .AddInteractiveServerRenderMode(server => server.ContentSecurityFrameAncestorsPolicy = "'none'")
            .WithStaticAssets(Path.Combine(AppContext.BaseDirectory, Manifest))
            .Add(TakeHead);
    }

    /// <summary>Whatever is read can be asked for with HEAD, as elsewhere; pages are mapped without it.</summary>
    private static void TakeHead(EndpointBuilder endpoint)
    {
        if (endpoint.Metadata.OfType<HttpMethodMetadata>().LastOrDefault() is { } taken
            && taken.HttpMethods.Contains(HttpMethods.Get) && !taken.HttpMethods.Contains(HttpMethods.Head))
        {
            endpoint.Metadata.Add(new HttpMethodMetadata([.. taken.HttpMethods, HttpMethods.Head]));
        }
    }
}
