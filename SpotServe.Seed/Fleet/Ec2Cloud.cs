using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using Amazon;
using Amazon.EC2;
using Amazon.EC2.Model;
using Amazon.Runtime;
using SpotServe.Actors.Fleet;

namespace SpotServe.Seed.Fleet;

/// <summary>
/// AWS EC2. A machine is one call with the order's token as ClientToken, so that an order that is given twice starts
/// one instance; it is tagged with cluster and order in the same call, so that none exists without its tags.
/// Credentials come from the SDK's own chain: environment, profile, instance profile.
/// </summary>
internal sealed class Ec2Cloud(IAmazonEC2 client, Ec2Options options, TimeProvider clock) : ICloud, IDisposable
{
    private static readonly TimeSpan CallMax = TimeSpan.FromSeconds(20);

    private static readonly ImmutableHashSet<string> Throttles =
    [
        "RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
        "RequestThrottledException", "EC2ThrottledException", "BandwidthLimitExceeded", "TooManyRequestsException",
    ];

    public string Name => $"EC2 in {options.Region}";

    /// <summary>The SDK would try again by itself, with a new machine's worth of time each; the fleet does
    /// that.</summary>
    public static AmazonEC2Config Config(Ec2Options options)
    {
        var config = new AmazonEC2Config { MaxErrorRetry = 0, Timeout = CallMax };
        if (options.ServiceUrl is null)
        {
            config.RegionEndpoint = RegionEndpoint.GetBySystemName(options.Region);
            return config;
        }

        config.ServiceURL = options.ServiceUrl;
        config.AuthenticationRegion = options.Region;
        return config;
    }

    public async Task<LaunchOutcome> LaunchAsync(LaunchOrder order, CancellationToken cancel)
    {
        try
        {
            if (!order.Alternatives.IsEmpty)
            {
                var fleet = await client.CreateFleetAsync(Ec2Requests.AnyPool(order, options), cancel)
                    .ConfigureAwait(false);
                return Ec2Requests.Outcome(fleet, order, options);
            }

            var answer = await client.RunInstancesAsync(Ec2Requests.OnePool(order, options), cancel)
                .ConfigureAwait(false);
            return answer.Reservation?.Instances is [{ InstanceId: { Length: > 0 } id }, ..]
                ? new LaunchOutcome.Launched(id)
                : new LaunchOutcome.Unknown("RunInstances named no instance.");
        }
        catch (AmazonServiceException error)
        {
            return Outcome(error);
        }
        catch (Exception error) when (error is AmazonClientException or HttpRequestException or IOException)
        {
            return new LaunchOutcome.Unknown(error.Message);
        }
    }

    public async Task TerminateAsync(string machine, CancellationToken cancel)
    {
        try
        {
            await client.TerminateInstancesAsync(
                new TerminateInstancesRequest { InstanceIds = [machine] }, cancel).ConfigureAwait(false);
        }
        catch (AmazonServiceException error) when (error.ErrorCode == "InvalidInstanceID.NotFound")
        {
            // It has been gone for so long that EC2 has forgotten it.
        }
        catch (Exception error) when (IsCloudFailure(error))
        {
            throw new CloudException(Words(error), error);
        }
    }

    public async Task<ImmutableArray<CloudMachine>> ListAsync(string cluster, CancellationToken cancel)
    {
        var machines = ImmutableArray.CreateBuilder<CloudMachine>();
        var request = new DescribeInstancesRequest
        {
            Filters =
            [
                new Filter { Name = $"tag:{Ec2Requests.ClusterTag}", Values = [cluster] },
                new Filter
                {
                    Name = "instance-state-name",
                    Values = ["pending", "running", "stopping", "stopped", "shutting-down"],
                },
            ],
        };
        try
        {
            do
            {
                var page = await client.DescribeInstancesAsync(request, cancel).ConfigureAwait(false);
                machines.AddRange((page.Reservations ?? [])
                    .SelectMany(reservation => reservation.Instances ?? []).Select(Machine));
                request.NextToken = page.NextToken;
            }
            while (!string.IsNullOrEmpty(request.NextToken));
        }
        catch (Exception error) when (IsCloudFailure(error))
        {
            throw new CloudException(Words(error), error);
        }

        return machines.ToImmutable();
    }

    public async Task<ImmutableArray<PoolPrice>> PricesAsync(
        ImmutableArray<MachinePool> pools, CancellationToken cancel)
    {
        var spot = new Dictionary<MachinePool, (DateTime At, double Price)>();
        var request = new DescribeSpotPriceHistoryRequest
        {
            InstanceTypes = [.. pools.Where(pool => pool.IsSpot).Select(pool => pool.InstanceType).Distinct()],
            ProductDescriptions = ["Linux/UNIX"],
            // From now on: the prices that hold, and no history.
            StartTime = clock.GetUtcNow().UtcDateTime,
        };
        try
        {
            do
            {
                var page = await client.DescribeSpotPriceHistoryAsync(request, cancel).ConfigureAwait(false);
                foreach (var line in page.SpotPriceHistory ?? []) Take(spot, line);
                request.NextToken = page.NextToken;
            }
            while (!string.IsNullOrEmpty(request.NextToken));
        }
        catch (Exception error) when (IsCloudFailure(error))
        {
            throw new CloudException(Words(error), error);
        }

        return
        [
            .. pools.Where(spot.ContainsKey).Select(pool => new PoolPrice(pool, spot[pool].Price)),
            .. pools.Where(pool => !pool.IsSpot && options.OnDemandPrices.ContainsKey(pool.InstanceType))
                .Select(pool => new PoolPrice(pool, options.OnDemandPrices[pool.InstanceType])),
        ];
    }

    /// <summary>Of several prices of a pool the newest holds.</summary>
    private static void Take(Dictionary<MachinePool, (DateTime At, double Price)> prices, SpotPrice line)
    {
        var pool = new MachinePool(line.InstanceType?.Value ?? "", line.AvailabilityZone ?? "", IsSpot: true);
        var at = line.Timestamp ?? default;
        if (!double.TryParse(line.Price, CultureInfo.InvariantCulture, out var price)) return;
        if (prices.TryGetValue(pool, out var known) && known.At > at) return;
        prices[pool] = (at, price);
    }

    public void Dispose() => client.Dispose();

    private static CloudMachine Machine(Instance instance) => new(
        instance.InstanceId,
        (instance.Tags ?? []).FirstOrDefault(tag => tag.Key == Ec2Requests.OrderTag)?.Value ?? "",
        new MachinePool(
            instance.InstanceType?.Value ?? "",
            instance.Placement?.AvailabilityZone ?? "",
            instance.InstanceLifecycle == InstanceLifecycleType.Spot),
        instance.State?.Name?.Value switch
        {
            "pending" => MachineStatus.Starting,
            "running" => MachineStatus.Running,
            _ => MachineStatus.Ending,
        },
        instance.PrivateIpAddress ?? "");

    /// <summary>What EC2 refused for a reason is refused: another pool is asked. What may have been done is asked
    /// again.</summary>
    private static LaunchOutcome Outcome(AmazonServiceException error) => error switch
    {
        _ when Throttles.Contains(error.ErrorCode ?? "") || error.StatusCode == HttpStatusCode.TooManyRequests =>
            new LaunchOutcome.Throttled(Words(error)),
        { StatusCode: >= HttpStatusCode.BadRequest and < HttpStatusCode.InternalServerError } =>
            new LaunchOutcome.Refused(Words(error)),
        // EC2 says some of its refusals with 500.
        _ when (error.ErrorCode ?? "").StartsWith("Insufficient", StringComparison.Ordinal) =>
            new LaunchOutcome.Refused(Words(error)),
        _ => new LaunchOutcome.Unknown(Words(error)),
    };

    private static bool IsCloudFailure(Exception error) =>
        error is AmazonServiceException or AmazonClientException or HttpRequestException or IOException;

    private static string Words(Exception error) => error is AmazonServiceException { ErrorCode.Length: > 0 } service
        ? $"{service.ErrorCode}: {service.Message}"
        : error.Message;
}
