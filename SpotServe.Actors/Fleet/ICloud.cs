using System.Collections.Immutable;

namespace SpotServe.Actors.Fleet;

/// <summary>Who starts and stops machines. All calls may be made again: an order by its token, a termination by the
/// machine's name. Calls may overlap.</summary>
public interface ICloud
{
    /// <summary>For people: "EC2 in us-east-1".</summary>
    string Name { get; }

    /// <summary>Asks for one machine. Never fails for what the cloud answers: that is the outcome.</summary>
    Task<LaunchOutcome> LaunchAsync(LaunchOrder order, CancellationToken cancel);

    /// <summary>Stops a machine; one that is gone already is no error.</summary>
    /// <exception cref="CloudException">The cloud did not take the order; it is given again later.</exception>
    Task TerminateAsync(string machine, CancellationToken cancel);

    /// <summary>All machines with the cluster's tag that are not gone. One that was launched a moment ago may be
    /// missing
    /// for a while.</summary>
    /// <exception cref="CloudException">The cloud did not say.</exception>
    Task<ImmutableArray<CloudMachine>> ListAsync(string cluster, CancellationToken cancel);

    /// <summary>Prices of the given pools, as far as they are known.</summary>
    /// <exception cref="CloudException">The cloud did not say.</exception>
    Task<ImmutableArray<PoolPrice>> PricesAsync(ImmutableArray<MachinePool> pools, CancellationToken cancel);
}

/// <summary>A cloud did not do what it was asked; the message says what and why.</summary>
public sealed class CloudException(string message, Exception? inner = null) : Exception(message, inner);
