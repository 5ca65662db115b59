using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;

namespace SpotServe.Tests.Simulation;

/// <summary>Brings slices of other nodes: takes the time of a link, reads the source's memory early or late, and ends
/// with an error when the source is gone, silent for too long, or knows a newer epoch.</summary>
internal sealed class SimFetcher(
    SimWorld world, SimDataPlane dataPlane, SimNode node, IReadOnlyDictionary<string, string> endpoints)
    : ISliceFetcher
{
    private static readonly TimeSpan StallMax = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(0.1);

    public Task FetchAsync(SliceRequest request, ITransferBlock into, CancellationToken cancel)
    {
        var fetch = new Fetch(request, into, new TaskCompletionSource(), world.Now);
        cancel.Register(() => fetch.Done.TrySetCanceled(cancel));
        if (endpoints.ContainsKey(request.From.Node)) Begin(fetch);
        else Fail(fetch, "its node has no endpoint", TimeSpan.Zero);
        return fetch.Done.Task;
    }

    private void Begin(Fetch fetch)
    {
        if (fetch.Done.Task.IsCompleted) return;
        if (dataPlane.Find(fetch.Request.From.Node) is not { Process.IsDead: false } source)
        {
            Fail(fetch, "connection refused", world.Between(0.001, 0.05));
            return;
        }

        if (source != node && !dataPlane.Reaches(source, node))
        {
            if (world.Now - fetch.At >= StallMax) Fail(fetch, "no progress for 5 s", TimeSpan.Zero);
            else world.After(RetryAfter, () => node.Process.Do(() => Begin(fetch)));
            return;
        }

        if (Open(source, fetch.Request, out var why) is not { } block)
        {
            Fail(fetch, why, TimeSpan.FromMilliseconds(1));
            return;
        }

        var isLate = world.Chance(0.5);
        if (!isLate) BlockCopy.Run(block, fetch.Into, CancellationToken.None);
        var seconds = source == node ? 0 : fetch.Into.Bytes / world.Network.BytesPerSecond;
        var end = (source.SendsUntil > world.Now ? source.SendsUntil : world.Now)
            + TimeSpan.FromSeconds(0.0005 + seconds);
        source.SendsUntil = end;
        // A reader that died reads no more: its connection is gone, and the source's memory is its own again.
        world.At(end, () =>
        {
            if (node.Process.IsDead) source.Process.Do(block.Dispose);
            else node.Process.Do(() => End(fetch, source, block, isLate));
        });
    }

    private void End(Fetch fetch, SimNode source, ITransferBlock block, bool isLate)
    {
        var isWanted = !fetch.Done.Task.IsCompleted;
        var hasCome = isWanted && !source.Process.IsDead && (source == node || dataPlane.Reaches(source, node));
        if (hasCome && isLate) BlockCopy.Run(block, fetch.Into, CancellationToken.None);
        source.Process.Do(block.Dispose);
        if (!isWanted) return;
        if (source.Process.IsDead)
        {
            Fail(fetch, "the connection broke", TimeSpan.FromMilliseconds(20));
            return;
        }

        if (hasCome)
        {
            fetch.Done.TrySetResult();
            return;
        }

        world.After(RetryAfter, () => node.Process.Do(() => Begin(fetch)));
    }

    private static ITransferBlock? Open(SimNode source, SliceRequest request, out string why)
    {
        why = "it is not held there";
        if (request.Epoch < source.Retired)
        {
            why = $"it knows {source.Retired}";
            return null;
        }

        if (request.From.Index >= source.Runtimes.Length) return null;
        var runtime = source.Runtimes[request.From.Index];
        return request.Weights is { } weights ? runtime.OpenWeights(weights) : runtime.OpenPages(request.Pages!);
    }

    private void Fail(Fetch fetch, string why, TimeSpan after) => world.After(after, () => node.Process.Do(() =>
        fetch.Done.TrySetException(new SliceLostException(fetch.Request, why))));

    private sealed record Fetch(SliceRequest Request, ITransferBlock Into, TaskCompletionSource Done, TimeSpan At);
}
