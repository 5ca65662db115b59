using System.Collections.Immutable;
using Amazon.EC2;
using Amazon.EC2.Model;
using SpotServe.Actors.Fleet;

namespace SpotServe.Seed.Fleet;

/// <summary>
/// What EC2 is asked for an order: one machine of one pool (RunInstances), or of whichever of several spot pools it has
/// most machines in (CreateFleet of type instant, which is answered at once and keeps nothing up). The same order gives
/// the same request, since EC2 refuses a token that comes back with another one.
/// </summary>
internal static class Ec2Requests
{
    public const string ClusterTag = "spotserve:cluster";
    public const string OrderTag = "spotserve:order";

    public static RunInstancesRequest OnePool(LaunchOrder order, Ec2Options options) => new()
    {
        ClientToken = order.Token,
        MinCount = 1,
        MaxCount = 1,
        InstanceType = order.Pool.InstanceType,
        SubnetId = options.Subnets[order.Pool.Zone],
        LaunchTemplate = IsId(options)
            ? new LaunchTemplateSpecification { LaunchTemplateId = options.LaunchTemplate, Version = "$Default" }
            : new LaunchTemplateSpecification { LaunchTemplateName = options.LaunchTemplate, Version = "$Default" },
        InstanceMarketOptions = order.Pool.IsSpot
            ? new InstanceMarketOptionsRequest
            {
                MarketType = MarketType.Spot,
                SpotOptions = new SpotMarketOptions
                {
                    SpotInstanceType = SpotInstanceType.OneTime,
                    InstanceInterruptionBehavior = InstanceInterruptionBehavior.Terminate,
                },
            }
            : null,
        TagSpecifications = [Tags(order)],
    };

    public static CreateFleetRequest AnyPool(LaunchOrder order, Ec2Options options) => new()
    {
        ClientToken = order.Token,
        Type = FleetType.Instant,
        TargetCapacitySpecification = new TargetCapacitySpecificationRequest
        {
            TotalTargetCapacity = 1,
            DefaultTargetCapacityType = DefaultTargetCapacityType.Spot,
        },
        SpotOptions = new SpotOptionsRequest
        {
            // Capacity decides; among pools with as much of it, the order that they are named in.
            AllocationStrategy = SpotAllocationStrategy.CapacityOptimizedPrioritized,
            InstanceInterruptionBehavior = SpotInstanceInterruptionBehavior.Terminate,
        },
        LaunchTemplateConfigs =
        [
            new FleetLaunchTemplateConfigRequest
            {
                LaunchTemplateSpecification = IsId(options)
                    ? new FleetLaunchTemplateSpecificationRequest
                    {
                        LaunchTemplateId = options.LaunchTemplate,
                        Version = "$Default",
                    }
                    : new FleetLaunchTemplateSpecificationRequest
                    {
                        LaunchTemplateName = options.LaunchTemplate,
                        Version = "$Default",
                    },
                Overrides =
                [
                    .. order.Alternatives.Insert(0, order.Pool).Select((pool, rank) =>
                        new FleetLaunchTemplateOverridesRequest
                        {
                            InstanceType = pool.InstanceType,
                            SubnetId = options.Subnets[pool.Zone],
                            Priority = rank,
                        }),
                ],
            },
        ],
        TagSpecifications = [Tags(order)],
    };

    /// <summary>The machine that a CreateFleet led to, or why there is none.</summary>
    public static LaunchOutcome Outcome(CreateFleetResponse answer, LaunchOrder order, Ec2Options options)
    {
        var instance = (answer.Instances ?? []).FirstOrDefault(one => one.InstanceIds is [{ Length: > 0 }, ..]);
        if (instance is not null)
        {
            var subnet = instance.LaunchTemplateAndOverrides?.Overrides?.SubnetId ?? instance.SubnetId;
            var type = instance.InstanceType?.Value;
            var pool = order.Alternatives.Insert(0, order.Pool).FirstOrDefault(
                pool => pool.InstanceType == type && options.Subnets[pool.Zone] == subnet);
            return new LaunchOutcome.Launched(instance.InstanceIds[0], pool);
        }

        // The answer is final for this token, also where a pool was not asked because of too many calls: the next order
        // has another token.
        var errors = (answer.Errors ?? []).Select(error => $"{error.ErrorCode}: {error.ErrorMessage}")
            .Distinct(StringComparer.Ordinal).ToImmutableArray();
        return errors.IsEmpty
            ? new LaunchOutcome.Unknown("CreateFleet named neither an instance nor an error.")
            : new LaunchOutcome.Refused(string.Join("; ", errors));
    }

    private static bool IsId(Ec2Options options) => options.LaunchTemplate.StartsWith("lt-", StringComparison.Ordinal);

    private static TagSpecification Tags(LaunchOrder order) => new()
    {
        ResourceType = ResourceType.Instance,
        Tags =
        [
            new Tag("Name", order.Token), new Tag(ClusterTag, order.Cluster), new Tag(OrderTag, order.Token),
        ],
    };
}
