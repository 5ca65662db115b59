namespace SpotServe.Tests.Simulation;

/// <summary>What a seed is about. Half draw any faults; the others what chance alone brings about too seldom.</summary>
internal enum SimTheme
{
    /// <summary>Up to six faults of all kinds.</summary>
    AnyFaults,

    /// <summary>One machine is given notice in good time, and nothing else happens: here the laws have no
    /// excuse.</summary>
    OneNotice,

    /// <summary>Three replicas with all their slots taken, and more waiting, become two.</summary>
    FullBatches,

    /// <summary>Devices hold little more than one context, so that sequences are suspended all the time, also while
    /// their pages go to the next layout.</summary>
    PageShortage,

    /// <summary>A replica whose pages the next one shares falls silent after it began to hand over: it is cut off from
    /// all but its own stages, goes on decoding, and never hears that it should stop.</summary>
    SilentHome,

    /// <summary>The planner hangs amid a change for so long that another one takes over, and then goes on where it
    /// was.</summary>
    WakingPlanner,
}
