using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Text.Json;
using k8s;
using k8s.Autorest;
using k8s.Models;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Fleet;

/// <summary>
/// Kubernetes. A machine is one pod that is made from a PodTemplate and placed by its pool's node selector; the pod's
/// name is the order's token, so that an order that is given twice is one pod (docs/adr/0091). Whether there is a
/// machine for it is the cluster autoscaler's business; a pod that finds none is given up by the fleet's JoinMax.
/// </summary>
internal sealed class KubernetesCloud(IKubernetes client, KubernetesOptions options, string space) : ICloud, IDisposable
{
    public const string ClusterLabel = "spotserve.io/cluster";
    public const string TypeAnnotation = "spotserve.io/type";
    public const string ZoneAnnotation = "spotserve.io/zone";
    public const string SpotAnnotation = "spotserve.io/spot";

    private const int PageSize = 250;

    /// <summary>Pods whose process has ended and that are removed after one list.</summary>
    private const int FinishedMax = 16;

    public string Name => $"Kubernetes, namespace {space}";

    public async Task<LaunchOutcome> LaunchAsync(LaunchOrder order, CancellationToken cancel)
    {
        try
        {
            var template = await client.CoreV1.ReadNamespacedPodTemplateAsync(
                options.PodTemplate, space, cancellationToken: cancel).ConfigureAwait(false);
            if (MachinePods.Objection(template) is { } objection)
                return new LaunchOutcome.Refused($"PodTemplate {options.PodTemplate}: {objection}");
            var pod = MachinePods.Of(template, order, options.PoolOf(order.Pool));
            await client.CoreV1.CreateNamespacedPodAsync(pod, space, cancellationToken: cancel).ConfigureAwait(false);
            return new LaunchOutcome.Launched(order.Token);
        }
        catch (HttpOperationException error) when (error.Response.StatusCode == HttpStatusCode.Conflict)
        {
            return await AlreadyThereAsync(order, cancel).ConfigureAwait(false);
        }
        catch (HttpOperationException error)
        {
            return Outcome(error);
        }
        catch (Exception error) when (IsNoAnswer(error, cancel))
        {
            return new LaunchOutcome.Unknown(error.Message);
        }
    }

    public async Task TerminateAsync(string machine, CancellationToken cancel)
    {
        try
        {
            await client.CoreV1.DeleteNamespacedPodAsync(machine, space, cancellationToken: cancel)
                .ConfigureAwait(false);
        }
        catch (HttpOperationException error) when (error.Response.StatusCode == HttpStatusCode.NotFound)
        {
            // It is gone already.
        }
        catch (Exception error) when (error is HttpOperationException || IsNoAnswer(error, cancel))
        {
            throw new CloudException(Words(error), error);
        }
    }

    public async Task<ImmutableArray<CloudMachine>> ListAsync(string cluster, CancellationToken cancel)
    {
        try
        {
            var pods = await PodsAsync(cluster, cancel).ConfigureAwait(false);
            var going = await new MachineHosts(client).GoingAsync(
                [.. pods.Select(pod => pod.Spec?.NodeName).OfType<string>().Distinct()], cancel).ConfigureAwait(false);
            await RemoveFinishedAsync(pods, cancel).ConfigureAwait(false);
            return [.. pods.Where(pod => !MachinePods.IsFinished(pod)).Select(pod => MachinePods.Machine(pod, going))];
        }
        catch (Exception error) when (error is HttpOperationException || IsNoAnswer(error, cancel))
        {
            throw new CloudException(Words(error), error);
        }
    }

    /// <summary>As the fleet's file states them: Kubernetes knows no prices.</summary>
    public Task<ImmutableArray<PoolPrice>> PricesAsync(
        ImmutableArray<MachinePool> pools, CancellationToken cancel) => Task.FromResult(
        pools.Select(pool => options.PoolOf(pool) is { } known ? new PoolPrice(pool, known.Price) : null)
            .OfType<PoolPrice>().ToImmutableArray());

    public void Dispose() => client.Dispose();

    private async Task<List<V1Pod>> PodsAsync(string cluster, CancellationToken cancel)
    {
        List<V1Pod> pods = [];
        string? next = null;
        do
        {
            var page = await client.CoreV1.ListNamespacedPodAsync(
                space, labelSelector: $"{ClusterLabel}={cluster}", limit: PageSize, continueParameter: next,
                cancellationToken: cancel).ConfigureAwait(false);
            pods.AddRange(page.Items ?? []);
            next = page.Metadata?.ContinueProperty;
        }
        while (!string.IsNullOrEmpty(next));
        return pods;
    }

    /// <summary>Kubernetes keeps pods whose process has ended, by the thousand.</summary>
    private async Task RemoveFinishedAsync(List<V1Pod> pods, CancellationToken cancel)
    {
        var finished = pods.Where(pod => MachinePods.IsFinished(pod) && pod.Metadata.DeletionTimestamp is null);
        foreach (var pod in finished.Take(FinishedMax))
            await TerminateAsync(pod.Metadata.Name, cancel).ConfigureAwait(false);
    }

    /// <summary>The name is the order's: the pod is what an earlier try made, unless it has ended since.</summary>
    private async Task<LaunchOutcome> AlreadyThereAsync(LaunchOrder order, CancellationToken cancel)
    {
        try
        {
            var pod = await client.CoreV1.ReadNamespacedPodAsync(order.Token, space, cancellationToken: cancel)
                .ConfigureAwait(false);
            if (pod.Metadata.Labels?.TryGetValue(ClusterLabel, out var owner) != true || owner != order.Cluster)
                return new LaunchOutcome.Refused($"A pod {order.Token} that is not this cluster's has the name.");
            return MachinePods.IsFinished(pod) || pod.Metadata.DeletionTimestamp is not null
                ? new LaunchOutcome.Refused($"A pod that has ended has the name {order.Token}.")
                : new LaunchOutcome.Launched(order.Token);
        }
        catch (Exception error) when (error is HttpOperationException || IsNoAnswer(error, cancel))
        {
            return new LaunchOutcome.Unknown(Words(error));
        }
    }

    /// <summary>A quota, an admission rule, a missing right or template: nothing was made.</summary>
    private static LaunchOutcome Outcome(HttpOperationException error) => error.Response.StatusCode switch
    {
        HttpStatusCode.TooManyRequests => new LaunchOutcome.Throttled(Words(error)),
        >= HttpStatusCode.BadRequest and < HttpStatusCode.InternalServerError =>
            new LaunchOutcome.Refused(Words(error)),
        _ => new LaunchOutcome.Unknown(Words(error)),
    };

    /// <summary>Also the client's own time limit, which is told as a cancellation that nobody asked for.</summary>
    private static bool IsNoAnswer(Exception error, CancellationToken cancel) =>
        error is HttpRequestException or IOException or JsonException
        || (error is OperationCanceledException && !cancel.IsCancellationRequested);

    /// <summary>The API server says in a Status object what is wrong.</summary>
    private static string Words(Exception error)
    {
        if (error is not HttpOperationException { Response: { } response }) return error.Message;
        var status = ((int)response.StatusCode).ToString(CultureInfo.InvariantCulture);
        try
        {
            using var body = JsonTexts.Parse(response.Content ?? "");
            return body.RootElement is { ValueKind: JsonValueKind.Object } root
                && root.TryGetProperty("message", out var message) && JsonTexts.Of(message) is { } words
                ? $"{status}: {words}"
                : status;
        }
        catch (JsonException)
        {
            return status;
        }
    }
}
