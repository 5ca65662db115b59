using System.Globalization;
using System.Text;

namespace SpotServe.Actors.Metrics;

/// <summary>Metrics as Prometheus's text exposition format 0.0.4 has them.</summary>
public static class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <param name="modelName">The label "model_name" of all metrics whose names other servers have too: their
    /// dashboards choose by it.</param>
    public static string Write(MetricsSnapshot metrics, string modelName)
    {
        var text = new StringBuilder(16 << 10);
        var model = LabelText.Of("model_name", modelName);
        foreach (var (metric, all) in metrics.Families)
        {
            text.Append("# HELP ").Append(metric.Name).Append(' ').Append(metric.Help).Append('\n');
            text.Append("# TYPE ").Append(metric.Name).Append(' ')
                .Append(metric.Kind.ToString().ToLowerInvariant()).Append('\n');
            foreach (var series in all)
            {
                var labels = metric.Name.StartsWith("vllm:", StringComparison.Ordinal)
                    ? LabelText.Join(series.Labels, model)
                    : series.Labels;
                if (metric.Kind == MetricKind.Histogram) AppendHistogram(text, metric, series, labels);
                else Append(text, metric.Name, labels, series.Value);
            }
        }

        return text.ToString();
    }

    private static void AppendHistogram(
        StringBuilder text, MetricDescription metric, MetricSeries series, string labels)
    {
        var cumulated = 0L;
        for (var i = 0; i < series.Buckets.Length; i++)
        {
            cumulated += series.Buckets[i];
            var end = i < metric.Bounds.Length ? Number(metric.Bounds[i]) : "+Inf";
            var upTo = $"le=\"{end}\"";
            Append(text, $"{metric.Name}_bucket", labels.Length == 0 ? upTo : $"{labels},{upTo}", cumulated);
        }

        Append(text, $"{metric.Name}_sum", labels, series.Value);
        Append(text, $"{metric.Name}_count", labels, cumulated);
    }

    private static void Append(StringBuilder text, string name, string labels, double value)
    {
        text.Append(name);
        if (labels.Length > 0) text.Append('{').Append(labels).Append('}');
        text.Append(' ').Append(Number(value)).Append('\n');
    }

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
