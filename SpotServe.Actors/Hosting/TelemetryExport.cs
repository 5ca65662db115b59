using System.Globalization;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using SpotServe.Actors.Metrics;
using SpotServe.Actors.Tracing;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// Sends what a process measures, and the spans of its requests, to an OpenTelemetry collector (OTLP over HTTP). Spans
/// wait in a bounded queue; where the collector does not answer they are dropped, and nothing waits. What can be set by
/// OpenTelemetry's own environment variables (headers, intervals, timeouts) is.
/// </summary>
public sealed class TelemetryExport : IDisposable
{
    private const int FlushMillisecondsMax = 1_500;

    private readonly TracerProvider _traces;
    private readonly MeterProvider _metrics;

    private TelemetryExport(TracerProvider traces, MeterProvider metrics)
    {
        _traces = traces;
        _metrics = metrics;
    }

    /// <param name="collector">E.g. http://127.0.0.1:4318; null exports nothing.</param>
    /// <param name="service">What the process is.</param>
    public static TelemetryExport? Start(Uri? collector, string service)
    {
        if (collector is null) return null;
        var instance = string.Create(
            CultureInfo.InvariantCulture, $"{Environment.MachineName}:{Environment.ProcessId}");
        var resource = ResourceBuilder.CreateDefault().AddService(service, serviceInstanceId: instance);
        var traces = Sdk.CreateTracerProviderBuilder()
            .SetResourceBuilder(resource)
            .AddSource(Traces.SourceName)
            .AddOtlpExporter(options => Send(options, collector, "v1/traces"))
            .Build();
        var metrics = Sdk.CreateMeterProviderBuilder()
            .SetResourceBuilder(resource)
            .AddMeter($"{MetricCatalogue.MeterPrefix}*")
            .AddOtlpExporter(options => Send(options, collector, "v1/metrics"))
            .Build();
        return new TelemetryExport(traces, metrics);
    }

    /// <summary>Sends what waits, for a limited time.</summary>
    public void Dispose()
    {
        _traces.Shutdown(FlushMillisecondsMax);
        _metrics.Shutdown(FlushMillisecondsMax);
        _traces.Dispose();
        _metrics.Dispose();
    }

    private static void Send(OtlpExporterOptions options, Uri collector, string path)
    {
        options.Protocol = OtlpExportProtocol.HttpProtobuf;
        options.Endpoint = new Uri($"{collector.AbsoluteUri.TrimEnd('/')}/{path}");
    }
}
