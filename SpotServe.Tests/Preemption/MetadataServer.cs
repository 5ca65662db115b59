using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace SpotServe.Tests.Preemption;

/// <summary>An HTTP server on a free port of this machine, whose answers a test makes.</summary>
internal sealed class MetadataServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private MetadataServer(WebApplication app) => _app = app;

    public Uri Address => new(_app.Urls.Single());

    public static async Task<MetadataServer> StartAsync(RequestDelegate answer)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.Urls.Add("http://127.0.0.1:0");
        app.Run(answer);
        await app.StartAsync();
        return new MetadataServer(app);
    }

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();
}
