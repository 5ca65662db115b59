using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Where a slice is read from.</summary>
public enum SourceKind
{
    /// <summary>Another device's memory.</summary>
    Peer,

    /// <summary>The destination node's own disk.</summary>
    Disk,

    /// <summary>The model store.</summary>
    Store,
}

/// <summary>A source; <paramref name="Device"/> is set for peers only.</summary>
public readonly record struct SliceSource(SourceKind Kind, DeviceId Device)
{
    public static SliceSource Disk => new(SourceKind.Disk, default);

    public static SliceSource Store => new(SourceKind.Store, default);

    public static SliceSource Peer(DeviceId device) => new(SourceKind.Peer, device);

    public override string ToString() => Kind switch
    {
        SourceKind.Peer => Device.ToString(),
        SourceKind.Disk => "local disk",
        SourceKind.Store => "model store",
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}

/// <summary>
/// One step of a migration. Steps may run at the same time; each waits for those in <see cref="After"/>, and transfers
/// over one link go in the order of their ids.
/// </summary>
/// <param name="Id">Its place in the plan, from 0.</param>
/// <param name="After">Steps that must have been confirmed before this one begins.</param>
/// <param name="Start">Estimated, from the plan's start.</param>
/// <param name="Finish">Estimated, from the plan's start.</param>
public abstract record MigrationStep(int Id, ImmutableArray<int> After, TimeSpan Start, TimeSpan Finish)
{
    /// <summary>Bytes that move, or that are given back.</summary>
    public virtual long Bytes => 0;

    /// <summary>A slice of weights goes to a device. If the source dies before all of it has come, the device takes the
    /// rest from another source that it was told of, or from its own model folder, layer by layer.</summary>
    public sealed record CopyWeights(
        int Id,
        ImmutableArray<int> After,
        TimeSpan Start,
        TimeSpan Finish,
        SliceSource From,
        DeviceId To,
        WeightSlice Slice,
        long SliceBytes) : MigrationStep(Id, After, Start, Finish)
    {
        public override long Bytes => SliceBytes;

        public override string ToString() => $"{From} -> {To}: {Slice}, {Sizes.Text(SliceBytes)}";
    }

    /// <summary>KV pages of some requests go to a device of the replica that goes on with them.</summary>
    /// <param name="Slice">Layers and heads, of the old replica's pages.</param>
    /// <param name="Tail">After the cut-over: the pages written since, and each request's last, partly filled one.
    /// Before it: the full pages, which never change.</param>
    public sealed record CopyCache(
        int Id,
        ImmutableArray<int> After,
        TimeSpan Start,
        TimeSpan Finish,
        DeviceId From,
        DeviceId To,
        CacheSlice Slice,
        int NewReplica,
        ImmutableArray<CachedRequest> Requests,
        bool Tail,
        long SliceBytes) : MigrationStep(Id, After, Start, Finish)
    {
        public override long Bytes => SliceBytes;

        public override string ToString() =>
            $"{From} -> {To}: {Slice}{(Tail ? ", last pages" : "")} of {Requests.Length} requests, "
            + Sizes.Text(SliceBytes);
    }

    /// <summary>All ranks of a stage have their weights (and full pages): it may start.</summary>
    public sealed record StageReady(
        int Id, ImmutableArray<int> After, TimeSpan Start, TimeSpan Finish, int Replica, int Stage)
        : MigrationStep(Id, After, Start, Finish)
    {
        public override string ToString() => $"stage {Stage} of replica {Replica} is ready";
    }

    /// <summary>The old layout stops at a token boundary.</summary>
    public sealed record CutOver(int Id, ImmutableArray<int> After, TimeSpan Start, TimeSpan Finish)
        : MigrationStep(Id, After, Start, Finish)
    {
        public override string ToString() => "the old layout stops";
    }

    /// <summary>The new layout serves, and says so: the confirmation that frees wait for.</summary>
    public sealed record Serve(int Id, ImmutableArray<int> After, TimeSpan Start, TimeSpan Finish)
        : MigrationStep(Id, After, Start, Finish)
    {
        public override string ToString() => "the new layout serves";
    }

    /// <summary>A device gives weights back that its new position does not need.</summary>
    /// <param name="Early">Before the new layout serves, because memory is short: the old one cannot go on.</param>
    public sealed record FreeWeights(
        int Id,
        ImmutableArray<int> After,
        TimeSpan Start,
        TimeSpan Finish,
        DeviceId Device,
        WeightSlice Slice,
        long SliceBytes,
        bool Early) : MigrationStep(Id, After, Start, Finish)
    {
        public override long Bytes => SliceBytes;

        public override string ToString() =>
            $"{Device} frees {Slice}, {Sizes.Text(SliceBytes)}{(Early ? ", early" : "")}";
    }

    /// <summary>A device gives all pages of an old replica's slice back that its new position does not keep.</summary>
    public sealed record FreeCache(
        int Id,
        ImmutableArray<int> After,
        TimeSpan Start,
        TimeSpan Finish,
        DeviceId Device,
        CacheSlice Slice,
        long SliceBytes,
        bool Early) : MigrationStep(Id, After, Start, Finish)
    {
        public override long Bytes => SliceBytes;

        public override string ToString() =>
            $"{Device} frees {Slice}, {Sizes.Text(SliceBytes)}{(Early ? ", early" : "")}";
    }
}
