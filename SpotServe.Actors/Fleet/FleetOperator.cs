using Akka.Actor;
using static SpotServe.Actors.Fleet.FleetProtocol;

namespace SpotServe.Actors.Fleet;

/// <summary>What an operator can ask of the fleet manager.</summary>
public interface IFleetOperator
{
    /// <returns>Null when this cluster has no fleet manager, or when it does not answer.</returns>
    Task<FleetReport?> ReportAsync(CancellationToken cancel);

    /// <summary>Has the fleet be of this size; or by so many machines larger.</summary>
    /// <returns>Null when it will be, else why not.</returns>
    Task<string?> ChangeSizeAsync(int machines, bool isMore, CancellationToken cancel);
}

/// <summary>Asks the fleet manager, always with a limit.</summary>
/// <param name="fleet">Null where machines are started by hand. Lazy, because HTTP is set up before the actors.</param>
public sealed class FleetOperator(Lazy<IActorRef?> fleet) : IFleetOperator
{
    private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(5);

    public async Task<FleetReport?> ReportAsync(CancellationToken cancel)
    {
        try
        {
            return fleet.Value is { } manager
                ? await manager.Ask<FleetReport>(new GetFleetReport(), AnswerMax, cancel).ConfigureAwait(false)
                : null;
        }
        catch (AskTimeoutException)
        {
            return null;
        }
    }

    public async Task<string?> ChangeSizeAsync(int machines, bool isMore, CancellationToken cancel)
    {
        if (fleet.Value is not { } manager)
            return "This cluster starts no machines: start the seed with --fleet, or nodes by hand.";
        try
        {
            var answer = await manager.Ask<SizeAnswer>(new ChangeSize(machines, isMore), AnswerMax, cancel)
                .ConfigureAwait(false);
            return answer.Refusal;
        }
        catch (AskTimeoutException)
        {
            return "The fleet manager did not answer; it may be moving to another control node. Try again.";
        }
    }
}
