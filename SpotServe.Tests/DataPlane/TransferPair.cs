using System.Net;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.DataPlane;

/// <summary>Two nodes on loopback: one holds bytes, the other fetches them.</summary>
internal sealed class TransferPair : IDisposable
{
    public static readonly Epoch Epoch = new(4);
    public static readonly TimeSpan Patience = PatientTestKit.Patience;
    private static readonly DeviceId Device = new("source", 0);

    /// <param name="identity">What both encrypt with; null: they do not.</param>
    public TransferPair(TransferOptions? options = null, ClusterIdentity? identity = null)
    {
        Source = MakeNode(options, identity);
        Sink = MakeNode(options, identity);
    }

    public DataPlaneNode Source { get; }

    public DataPlaneNode Sink { get; }

    public static SliceRequest Request { get; } = new(
        Epoch,
        Device,
        new WeightSlice(TensorGroup.Layers, new LayerRange(3, 4), new Share(0, 7, 1, 2, true)),
        null,
        false);

    public static DataPlaneNode MakeNode(TransferOptions? options = null, ClusterIdentity? identity = null) => new(
        ListenerTests.Options() with { Transfer = options ?? new TransferOptions(), Identity = identity },
        TimeProvider.System);

    /// <summary>Fetches into a block of this length through the proxy, or directly.</summary>
    public Task<byte[]> FetchAsync(int bytes, int runBytes = int.MaxValue, HostileProxy? proxy = null) =>
        FetchAsync(bytes, runBytes, proxy?.Endpoint ?? Source.Endpoint);

    /// <summary>Fetches into a block of this length.</summary>
    public async Task<byte[]> FetchAsync(int bytes, int runBytes, IPEndPoint endpoint)
    {
        var into = new MemoryBlock(new byte[bytes], runBytes);
        await FetchAsync(Request, into, endpoint);
        return into.Content;
    }

    public Task FetchAsync(SliceRequest request, ITransferBlock into, IPEndPoint endpoint) => Sink
        .Fetcher(request.Epoch, _ => endpoint)
        .FetchAsync(request, into, TestContext.Current.CancellationToken)
        .WaitAsync(Patience, TestContext.Current.CancellationToken);

    public void Dispose()
    {
        Sink.Dispose();
        Source.Dispose();
    }
}
