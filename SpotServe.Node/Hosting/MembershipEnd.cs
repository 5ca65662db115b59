using SpotServe.Actors.Cluster;

namespace SpotServe.Node.Hosting;

/// <summary>Why a node is no member of its cluster any more.</summary>
internal abstract record MembershipEnd(string Reason)
{
    /// <summary>What the end means to a node that was told to go: it does not come back, whoever ended its membership
    /// first.</summary>
    /// <param name="notice">Null when it was not told to go.</param>
    public MembershipEnd Under(PreemptionNotice? notice) =>
        this is Lost lost && notice is not null ? new Left($"it was told to go, and {lost.Reason}") : this;

    /// <summary>It left because it was told to go: nothing needs it, or its time was over.</summary>
    public sealed record Left(string Reason) : MembershipEnd(Reason);

    /// <summary>The cluster removed it, or it lost the cluster. It may come back as a new member.</summary>
    public sealed record Lost(string Reason) : MembershipEnd(Reason);

    /// <summary>It can serve no more; coming back would change nothing.</summary>
    public sealed record Unfit(string Reason) : MembershipEnd(Reason);
}
