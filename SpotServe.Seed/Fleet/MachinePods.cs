using System.Collections.Immutable;
using System.Globalization;
using k8s.Models;
using SpotServe.Actors.Fleet;

namespace SpotServe.Seed.Fleet;

/// <summary>Pods as machines: how one is made from the template, and what one that is listed says.</summary>
internal static class MachinePods
{
    /// <summary>Labels that every cloud's nodes have.</summary>
    private const string TypeLabel = "node.kubernetes.io/instance-type";

    private const string ZoneLabel = "topology.kubernetes.io/zone";

    /// <returns>Null when pods can be made from it.</returns>
    public static string? Objection(V1PodTemplate template) =>
        template.Template?.Spec?.Containers is { Count: > 0 } ? null : "it has no container.";

    public static V1Pod Of(V1PodTemplate template, LaunchOrder order, KubernetesPool? pool)
    {
        var spec = template.Template.Spec;
        // A machine whose process has ended is gone, and another is ordered, perhaps from another pool.
        spec.RestartPolicy = "Never";
        spec.NodeSelector = Merged(spec.NodeSelector, Selector(order.Pool, pool));
        // What the planner is to know of its machine; the template's own arguments come before.
        var node = spec.Containers[0];
        node.Args =
        [
            .. node.Args ?? [],
            "--instance-id", order.Token,
            "--instance-type", order.Pool.InstanceType,
            .. order.Pool.Zone.Length > 0 ? (string[])["--zone", order.Pool.Zone] : [],
            .. pool is null ? [] : (string[])["--price", pool.Price.ToString(CultureInfo.InvariantCulture)],
            order.Pool.IsSpot ? "--spot" : "--on-demand",
        ];
        return new V1Pod
        {
            ApiVersion = "v1",
            Kind = "Pod",
            Metadata = new V1ObjectMeta
            {
                Name = order.Token,
                Labels = Merged(
                    template.Template.Metadata?.Labels, [new(KubernetesCloud.ClusterLabel, order.Cluster)]),
                Annotations = Merged(template.Template.Metadata?.Annotations,
                [
                    new(KubernetesCloud.TypeAnnotation, order.Pool.InstanceType),
                    new(KubernetesCloud.ZoneAnnotation, order.Pool.Zone),
                    new(KubernetesCloud.SpotAnnotation, order.Pool.IsSpot ? "true" : "false"),
                ]),
            },
            Spec = spec,
        };
    }

    /// <summary>Its process has ended: there is no machine any more.</summary>
    public static bool IsFinished(V1Pod pod) => pod.Status?.Phase is "Succeeded" or "Failed";

    /// <param name="going">Names of the Kubernetes nodes that are taken away.</param>
    public static CloudMachine Machine(V1Pod pod, ImmutableHashSet<string> going)
    {
        var said = pod.Metadata.Annotations ?? new Dictionary<string, string>();
        return new CloudMachine(
            pod.Metadata.Name,
            pod.Metadata.Name,
            new MachinePool(
                said.TryGetValue(KubernetesCloud.TypeAnnotation, out var type) ? type : "",
                said.TryGetValue(KubernetesCloud.ZoneAnnotation, out var zone) ? zone : "",
                said.TryGetValue(KubernetesCloud.SpotAnnotation, out var spot) && spot == "true"),
            Status(pod, going),
            pod.Status?.PodIP ?? "");
    }

    private static MachineStatus Status(V1Pod pod, ImmutableHashSet<string> going) => pod switch
    {
        { Metadata.DeletionTimestamp: not null } => MachineStatus.Ending,
        { Spec.NodeName: { } host } when going.Contains(host) => MachineStatus.Ending,
        { Status.Phase: "Running" } => MachineStatus.Running,
        _ => MachineStatus.Starting,
    };

    private static IEnumerable<KeyValuePair<string, string>> Selector(MachinePool pool, KubernetesPool? known) =>
    [
        new(TypeLabel, pool.InstanceType),
        .. pool.Zone.Length > 0 ? (KeyValuePair<string, string>[])[new(ZoneLabel, pool.Zone)] : [],
        .. known?.NodeSelector ?? ImmutableDictionary<string, string>.Empty,
    ];

    private static Dictionary<string, string> Merged(
        IDictionary<string, string>? first, IEnumerable<KeyValuePair<string, string>> then)
    {
        var all = new Dictionary<string, string>(first ?? new Dictionary<string, string>());
        foreach (var (key, value) in then) all[key] = value;
        return all;
    }
}
