using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.IO.Hashing;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using SpotServe.Actors;
using SpotServe.Actors.DataPlane;
using SpotServe.Node.Engine;

namespace SpotServe.Node.Bench;

/// <summary>
/// How fast one fetch moves a tensor's bytes from one process to another, with checksums, beside iperf3's single
/// stream and beside a bare socket loop over the same memory. The three take turns, so that the ratios of their
/// medians hold on a machine that others load. Loopback, two processes each.
/// </summary>
internal static class TransferBench
{
    private const double Giga = 1e9;
    private const int HashedBytes = 128 * 1024;
    private static readonly TimeSpan ChildExitMax = TimeSpan.FromSeconds(10);

    /// <summary>Options of both processes.</summary>
    public static DataPlaneOptions Options(int chunkBytes) => new()
    {
        Secret = new ClusterSecret("for this benchmark only"),
        Listen = new IPEndPoint(IPAddress.Loopback, 0),
        Transfer = new TransferOptions { ChunkBytes = chunkBytes },
    };

    /// <summary>Runs all rounds and prints a table.</summary>
    /// <param name="bytes">Of the tensor; a multiple of 8.</param>
    /// <exception cref="InvalidDataException">The bytes that arrived are not those that were sent.</exception>
    public static async Task RunAsync(
        long bytes, int chunkBytes, int rounds, TextWriter output, CancellationToken cancel)
    {
        TorchNative.EnsureLoaded();
        using var child = StartSource(bytes, chunkBytes);
        try
        {
            var line = await child.StandardOutput.ReadLineAsync(cancel).ConfigureAwait(false)
                ?? throw new InvalidDataException("The source process ended before it served.");
            var ports = line.Split(' ').Select(port => int.Parse(port, CultureInfo.InvariantCulture)).ToArray();
            using var node = new DataPlaneNode(Options(chunkBytes), TimeProvider.System);
            using var block = new TensorBlock(bytes);
            var figures = new Figures();
            // The first round of each warms up.
            for (var round = -1; round < rounds; round++)
            {
                var fetched = await FetchAsync(node, ports[0], block, cancel).ConfigureAwait(false);
                var received = ReceiveBare(ports[1], block, chunkBytes);
                var streamed = await Iperf.RunAsync(bytes, null, cancel).ConfigureAwait(false);
                var chunked = await Iperf.RunAsync(bytes, chunkBytes, cancel).ConfigureAwait(false);
                if (round >= 0) figures.Add(fetched, received, streamed, chunked, Hash(block));
            }

            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{bytes / Giga:F2} GB a round, chunks of {chunkBytes / 1024} KiB, loopback between two processes, "
                + $"{rounds} rounds in turns: median GB/s (range)"));
            figures.Print(output);
        }
        finally
        {
            await StopAsync(child).ConfigureAwait(false);
        }
    }

    private static async Task<double> FetchAsync(
        DataPlaneNode node, int port, TensorBlock into, CancellationToken cancel)
    {
        into.Fill(TransferSource.Seed + 1);
        var fetcher = node.Fetcher(TransferSource.Request.Epoch, _ => new IPEndPoint(IPAddress.Loopback, port));
        var start = Stopwatch.GetTimestamp();
        await fetcher.FetchAsync(TransferSource.Request, into, cancel).ConfigureAwait(false);
        return Rate(into.Bytes, start, into);
    }

    private static double ReceiveBare(int port, TensorBlock into, int pieceBytes)
    {
        into.Fill(TransferSource.Seed + 1);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        var start = Stopwatch.GetTimestamp();
        socket.Connect(new IPEndPoint(IPAddress.Loopback, port));
        for (long offset = 0; offset < into.Bytes;)
        {
            var piece = into.Direct(offset);
            var count = socket.Receive(piece[..Math.Min(piece.Length, pieceBytes)]);
            if (count == 0) throw new SocketException((int)SocketError.ConnectionReset);
            offset += count;
        }

        return Rate(into.Bytes, start, into);
    }

    private static double Hash(TensorBlock block)
    {
        var hash = new XxHash3();
        var start = Stopwatch.GetTimestamp();
        for (long offset = 0; offset < block.Bytes;)
        {
            var piece = block.Direct(offset);
            piece = piece[..Math.Min(piece.Length, HashedBytes)];
            hash.Append(piece);
            offset += piece.Length;
        }

        Invariant.Holds(hash.GetCurrentHash().Length == sizeof(ulong));
        return Rate(block.Bytes, start, block);
    }

    private static double Rate(long bytes, long start, TensorBlock received)
    {
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return received.IsFilledWith(TransferSource.Seed)
            ? bytes / seconds / Giga
            : throw new InvalidDataException("What arrived is not what was sent.");
    }

    private static Process StartSource(long bytes, int chunkBytes)
    {
        // The same program: its own executable, or the host of the runtime with the assembly's file.
        var program = Environment.ProcessPath ?? "dotnet";
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true };
        var isHost = Path.GetFileNameWithoutExtension(program).Equals("dotnet", StringComparison.OrdinalIgnoreCase);
        if (isHost) start.ArgumentList.Add(typeof(TransferBench).Assembly.Location);
        foreach (var argument in (string[])["bench", "--transfer-source"]) start.ArgumentList.Add(argument);
        foreach (var (name, value) in new[] { ("--megabytes", bytes / 1_000_000), ("--chunk-kib", chunkBytes / 1024) })
        {
            start.ArgumentList.Add(name);
            start.ArgumentList.Add(value.ToString(CultureInfo.InvariantCulture));
        }

        return Process.Start(start) ?? throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    private static async Task StopAsync(Process child)
    {
        child.StandardInput.Close();
        using var limit = new CancellationTokenSource(ChildExitMax);
        try
        {
            await child.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            child.Kill(entireProcessTree: true);
        }
    }

    /// <summary>GB/s of every round.</summary>
    private sealed class Figures
    {
        private readonly List<double> _fetch = [];
        private readonly List<double> _bare = [];
        private readonly List<double> _iperf = [];
        private readonly List<double> _iperfChunked = [];
        private readonly List<double> _hash = [];

        public void Add(double fetch, double bare, double? iperf, double? iperfChunked, double hash)
        {
            _fetch.Add(fetch);
            _bare.Add(bare);
            _hash.Add(hash);
            if (iperf is { } rate) _iperf.Add(rate);
            if (iperfChunked is { } chunkedRate) _iperfChunked.Add(chunkedRate);
        }

        public void Print(TextWriter output)
        {
            Row("fetch, tensor to tensor, checksums on", _fetch);
            Row("bare sockets, same memory, same pieces", _bare);
            if (_iperf.Count > 0)
            {
                Row("iperf3, one stream", _iperf);
                Row("iperf3, one stream, same pieces (1 MiB at most)", _iperfChunked);
            }
            else
            {
                output.WriteLine("iperf3 is not installed: the bare sockets are what to compare with.");
            }

            Row("checksum alone, one thread", _hash);
            // The best of them is the measure.
            List<List<double>> others = _iperf.Count > 0 ? [_iperf, _iperfChunked] : [_bare];
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"fetch / the best of {(_iperf.Count > 0 ? "iperf3" : "the bare sockets")}: "
                + $"{100 * Median(_fetch) / others.Max(Median):F0} %"));

            void Row(string what, List<double> rates) => output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{what,-50}{Median(rates),6:F2} ({rates.Min():F2} to {rates.Max():F2})"));
        }

        private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
    }
}
