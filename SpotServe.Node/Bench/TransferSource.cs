using System.Globalization;
using System.Net;
using System.Net.Sockets;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Node.Engine;

namespace SpotServe.Node.Bench;

/// <summary>
/// The other process of <see cref="TransferBench"/>: serves a tensor's bytes over the data plane, and the same bytes
/// over bare sockets, until its standard input ends.
/// </summary>
internal static class TransferSource
{
    public const ulong Seed = 20;

    public static readonly SliceRequest Request = new(
        new Epoch(1),
        new DeviceId("source", 0),
        new WeightSlice(TensorGroup.Layers, new LayerRange(0, 1), new Share(0, 1, 0, 1, true)),
        Pages: null,
        Urgent: false);

    /// <summary>Serves; its first line says on which two ports of loopback.</summary>
    public static async Task ServeAsync(
        long bytes, DataPlaneOptions options, TextReader until, TextWriter output, CancellationToken cancel)
    {
        TorchNative.EnsureLoaded();
        using var block = new TensorBlock(bytes);
        block.Fill(Seed);
        using var node = new DataPlaneNode(options, TimeProvider.System) { SliceSource = _ => new Lent(block) };
        using var bare = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        bare.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        bare.Listen(1);
        new Thread(() => SendBare(bare, block, options.Transfer.ChunkBytes))
        {
            IsBackground = true,
            Name = "bare-source",
        }.Start();
        var barePort = ((IPEndPoint)bare.LocalEndPoint!).Port;
        await output.WriteLineAsync(
            string.Create(CultureInfo.InvariantCulture, $"{node.Endpoint.Port} {barePort}")).ConfigureAwait(false);
        await output.FlushAsync(cancel).ConfigureAwait(false);
        await until.ReadToEndAsync(cancel).ConfigureAwait(false);
    }

    /// <summary>All of the block to each that connects, one after the other, until the listener closes.</summary>
    private static void SendBare(Socket listener, TensorBlock block, int pieceBytes)
    {
        try
        {
            while (true)
            {
                using var socket = listener.Accept();
                for (long offset = 0; offset < block.Bytes;)
                {
                    var piece = block.Direct(offset);
                    offset += socket.Send(piece[..Math.Min(piece.Length, pieceBytes)]);
                }
            }
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // The bench is over.
        }
    }

    /// <summary>A transfer disposes what it opened; the tensor stays.</summary>
    private sealed class Lent(TensorBlock block) : ITransferBlock
    {
        public long Bytes => block.Bytes;

        public Span<byte> Direct(long offset) => block.Direct(offset);

        public void Read(long offset, Span<byte> into) => block.Read(offset, into);

        public void Write(long offset, ReadOnlySpan<byte> from) => block.Write(offset, from);

        public void Dispose()
        {
        }
    }
}
