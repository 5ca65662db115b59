using System.Diagnostics;
using System.Globalization;
using SpotServe.Actors.Execution;
using SpotServe.Actors.ModelFolder;
using SpotServe.Node.Engine.Cuda;
using TorchSharp;

namespace SpotServe.Node.Engine.Bench;

/// <summary>Loads a model folder's weights onto a device as a node does it, beside what the ways there give: reading
/// the files into memory, and the link from pinned memory to the GPU.</summary>
internal static class LoadBench
{
    private const int PieceBytes = 8 << 20;
    private const long LinkBytes = 4L << 30;

    /// <summary>Threads that copy over the link and read at the same time, as in a load.</summary>
    private const int Readers = 4;

    /// <returns>The figures as text.</returns>
    /// <exception cref="ModelFormatException">The folder is not a model of a known family.</exception>
    public static async Task<string> RunAsync(
        string folder, BenchOptions options, Action<string> log, CancellationToken cancel)
    {
        var clock = Stopwatch.StartNew();
        using var runtime = new TorchDeviceRuntime(new TorchRuntimeOptions
        {
            ModelFolder = folder,
            Device = options.Device,
            Threads = options.Threads,
            TorchLib = options.TorchLib,
            Tell = log,
        });
        var opened = clock.Elapsed.TotalSeconds;
        var files = FileRate(folder, cancel);
        var link = options.Device == "cpu" ? (double?)null : LinkRate(TorchDevices.Open(options.Device, null, 1).index);
        var rounds = new List<(double Seconds, double Rate)>();
        for (var round = 0; round < options.Rounds; round++)
        {
            clock.Restart();
            var order = new PreparationOrder(Whole(runtime.Model, round + 1), [], null);
            var read = new LastProgress();
            using (await runtime.PrepareAsync(order, NoPeers.Instance, read, cancel).ConfigureAwait(false))
            {
                var seconds = clock.Elapsed.TotalSeconds;
                rounds.Add((seconds, read.Last.LoadedBytes / seconds / 1e9));
                log($"round {round + 1}: {seconds:0.00} s, {rounds[^1].Rate:0.00} GB/s");
            }

            runtime.Trim();
        }

        var best = rounds.MaxBy(round => round.Rate);
        (string What, string Value)[] rows =
        [
            ("model", $"{folder}, on {runtime.Description}"),
            ("device opened after", $"{Format(opened)} s"),
            ("load, first", $"{Format(rounds[0].Seconds)} s, {Format(rounds[0].Rate)} GB/s"),
            ("load, best", $"{Format(best.Seconds)} s, {Format(best.Rate)} GB/s"),
            ("files into memory", $"{Format(files)} GB/s"),
            ("link from pinned memory", link is { } rate ? $"{Format(rate)} GB/s" : "none on the CPU"),
            ("load / slower of the two", $"{Format(best.Rate / Math.Min(files, link ?? files) * 100)} %"),
        ];
        return string.Join('\n', rows.Select(row => $"{row.What,-26}{row.Value}"));
    }

    private static StageAssignment Whole(ModelSpec model, int epoch) => new(
        new Epoch(epoch), new Position(0, 0, 0), new LayerRange(0, model.LayerCount), 1, 1, PageCount: 64,
        StepTokensMax: 512, SequencesMax: 16);

    /// <summary>GB/s of the folder's weights read into a little memory, again and again, by several threads.</summary>
    private static double FileRate(string folder, CancellationToken cancel)
    {
        var files = Directory.GetFiles(folder, "*.safetensors");
        var pieces = files.SelectMany(file => Enumerable
            .Range(0, (int)((new FileInfo(file).Length + PieceBytes - 1) / PieceBytes))
            .Select(piece => (File: file, Offset: (long)piece * PieceBytes))).ToArray();
        long bytes = 0;
        var clock = Stopwatch.StartNew();
        var handles = files.ToDictionary(file => file, file => File.OpenHandle(file));
        Parallel.ForEach(
            pieces, new ParallelOptions { MaxDegreeOfParallelism = Readers, CancellationToken = cancel },
            () => new byte[PieceBytes],
            (piece, _, buffer) =>
            {
                Interlocked.Add(ref bytes, RandomAccess.Read(handles[piece.File], buffer, piece.Offset));
                return buffer;
            },
            _ => { });
        foreach (var handle in handles.Values) handle.Dispose();
        return bytes / clock.Elapsed.TotalSeconds / 1e9;
    }

    /// <summary>GB/s from pinned memory to the GPU, as many copiers at once as a load has.</summary>
    private static unsafe double LinkRate(int gpu)
    {
        using var target = torch.empty(
            [Readers, CopySlot.HalfBytes], torch.ScalarType.Byte, new torch.Device(DeviceType.CUDA, gpu));
        var start = (nint)TensorMemory.Pointer(target);
        Copy(1);
        var clock = Stopwatch.StartNew();
        Copy((int)(LinkBytes / CopySlot.HalfBytes / Readers));
        return LinkBytes / clock.Elapsed.TotalSeconds / 1e9;

        void Copy(int times) => Parallel.For(0, Readers, reader =>
        {
            using var slot = CopySlot.Rent(gpu);
            for (var i = 0; i < times; i++)
            {
                slot.Turn();
                slot.Send(start + (reader * (nint)CopySlot.HalfBytes), 0, CopySlot.HalfBytes);
            }
        });
    }

    private static string Format(double value) =>
        Math.Round(value, value >= 100 ? 0 : 2).ToString(CultureInfo.InvariantCulture);

    private sealed class LastProgress : IProgress<LoadProgress>
    {
        public LoadProgress Last { get; private set; }

        public void Report(LoadProgress value) => Last = value;
    }
}
