namespace SpotServe.Actors.Planner;

/// <summary>Where a message goes: a node, a replica, a gateway, an operator. The core compares addresses and hands them
/// on; only its shell knows what is behind them.</summary>
internal interface IAddress;
