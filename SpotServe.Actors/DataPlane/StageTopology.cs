using System.Collections.Immutable;

namespace SpotServe.Actors.DataPlane;

/// <summary>How a position gets its end of a link.</summary>
public enum LinkMeans
{
    /// <summary>Both ends live in this process.</summary>
    InProcess,

    /// <summary>This end dials the other node.</summary>
    Dial,

    /// <summary>The other node dials this one.</summary>
    Accept,
}

/// <summary>A link that a position needs.</summary>
/// <param name="IsFrom">This end is the key's From. A leader has both ends of its own plans.</param>
public sealed record LinkEnd(LinkKey Key, bool IsFrom, LinkMeans Means)
{
    /// <summary>The position at the other end.</summary>
    public Position Other => IsFrom ? Key.To : Key.From;
}

/// <summary>
/// The links of one position, from its replica's places alone: both ends compute the same key. Activations come from
/// the same rank of the previous stage, plans from the leader (d,0,0), partial sums from all other ranks of the stage.
/// </summary>
public sealed record StageTopology(
    Epoch Epoch,
    Position Self,
    LayoutDegrees Degrees,
    LinkEnd Plans,
    LinkEnd? ActivationsIn,
    LinkEnd? ActivationsOut,
    LinkEnd? Results,
    bool RanksShareMemory,
    ImmutableArray<LinkEnd> Ranks,
    LeaderTopology? Leader)
{
    /// <summary>Every end that the position needs.</summary>
    public IEnumerable<LinkEnd> Ends =>
        new[] { Plans, ActivationsIn, ActivationsOut, Results, Leader?.Results }
            .OfType<LinkEnd>()
            .Concat(Ranks)
            .Concat(Leader?.Plans ?? []);

    public static StageTopology Of(IPlacement layout, Epoch epoch, Position self)
    {
        var degrees = layout.Degrees;
        var leader = new Position(self.Replica, 0, 0);
        var last = new Position(self.Replica, degrees.Stages - 1, 0);
        var ranks = Enumerable.Range(0, degrees.Ranks).Select(rank => self with { Rank = rank }).ToList();
        var node = layout.DeviceAt(self).Node;
        var previous = self with { Stage = self.Stage - 1 };
        var next = self with { Stage = self.Stage + 1 };
        var shareMemory = ranks.All(rank => layout.DeviceAt(rank).Node == node);
        return new StageTopology(
            epoch,
            self,
            degrees,
            End(LinkKind.Plans, leader, self, isFrom: false),
            self.Stage == 0 ? null : End(LinkKind.Activations, previous, self, isFrom: false),
            self.Stage == last.Stage ? null : End(LinkKind.Activations, self, next, isFrom: true),
            self == last ? End(LinkKind.Results, self, leader, isFrom: true) : null,
            shareMemory,
            shareMemory ? [] : [.. ranks.Where(rank => rank != self).Select(RankEnd)],
            self != leader
                ? null
                : new LeaderTopology(
                    [.. ReplicaPositions().Select(rank => End(LinkKind.Plans, leader, rank, isFrom: true))],
                    End(LinkKind.Results, last, leader, isFrom: false)));

        LinkEnd End(LinkKind kind, Position from, Position to, bool isFrom) => new(
            new LinkKey(epoch, kind, from, to),
            isFrom,
            layout.DeviceAt(from).Node == layout.DeviceAt(to).Node ? LinkMeans.InProcess : OverNetwork(isFrom));

        // Ranks that do not all share memory use sockets throughout, also between two of one process.
        LinkEnd RankEnd(Position other)
        {
            var isFrom = self.Rank < other.Rank;
            var key = new LinkKey(epoch, LinkKind.Collective, isFrom ? self : other, isFrom ? other : self);
            return new LinkEnd(key, isFrom, OverNetwork(isFrom));
        }

        static LinkMeans OverNetwork(bool isFrom) => isFrom ? LinkMeans.Dial : LinkMeans.Accept;

        IEnumerable<Position> ReplicaPositions() => layout.PositionsOf(self.Replica);
    }
}

/// <summary>The leader's own ends: plans to every rank of the replica, itself included, and results back.</summary>
public sealed record LeaderTopology(ImmutableArray<LinkEnd> Plans, LinkEnd Results);
