using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using k8s;
using k8s.Autorest;
using k8s.Models;

namespace SpotServe.Seed.Fleet;

/// <summary>
/// The Kubernetes nodes under the fleet's pods: which of them are taken away, as their taints and conditions say before
/// the pods are told. Their replacements are ordered that much earlier.
/// </summary>
internal sealed class MachineHosts(IKubernetes client)
{
    private const int AtOnceMax = 8;

    /// <summary>Taints by which clouds and termination handlers say that a node goes for good.</summary>
    private static readonly ImmutableHashSet<string> GoingTaints =
    [
        "aws-node-termination-handler/spot-itn",
        "aws-node-termination-handler/scheduled-maintenance",
        "aws-node-termination-handler/asg-lifecycle-termination",
        "cloud.google.com/impending-node-termination",
        "node.cloudprovider.kubernetes.io/shutdown",
        "node.kubernetes.io/out-of-service",
        "karpenter.sh/disrupted",
        "ToBeDeletedByClusterAutoscaler",
    ];

    /// <summary>Conditions that Azure sets for the same.</summary>
    private static readonly ImmutableHashSet<string> GoingConditions = ["PreemptScheduled", "TerminateScheduled"];

    /// <summary>Those of the given nodes that go or are gone. One that may not be read counts as one that
    /// stays.</summary>
    public async Task<ImmutableHashSet<string>> GoingAsync(ImmutableArray<string> names, CancellationToken cancel)
    {
        var going = new ConcurrentBag<string>();
        var atOnce = new ParallelOptions { MaxDegreeOfParallelism = AtOnceMax, CancellationToken = cancel };
        await Parallel.ForEachAsync(names, atOnce, async (name, stop) =>
        {
            if (await GoesAsync(name, stop).ConfigureAwait(false)) going.Add(name);
        }).ConfigureAwait(false);
        return [.. going];
    }

    private async Task<bool> GoesAsync(string name, CancellationToken cancel)
    {
        try
        {
            var node = await client.CoreV1.ReadNodeAsync(name, cancellationToken: cancel).ConfigureAwait(false);
            return Goes(node);
        }
        catch (HttpOperationException error) when (error.Response.StatusCode == HttpStatusCode.NotFound)
        {
            return true;   // The machine is gone; its pods' objects follow.
        }
        catch (HttpOperationException error) when (error.Response.StatusCode == HttpStatusCode.Forbidden)
        {
            return false;   // The right to read nodes is a cluster-wide one, and the fleet does without it.
        }
    }

    private static bool Goes(V1Node node) =>
        node.Metadata?.DeletionTimestamp is not null
        || (node.Spec?.Taints ?? []).Any(taint => GoingTaints.Contains(taint.Key))
        || (node.Status?.Conditions ?? []).Any(
            condition => GoingConditions.Contains(condition.Type) && condition.Status == "True");
}
