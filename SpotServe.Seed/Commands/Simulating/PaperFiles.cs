using System.Collections.Immutable;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>The paper's own traces, arrivals and profiles, from a folder that holds them.</summary>
internal static class PaperFiles
{
    private const long BytesMax = 512L << 20;

    /// <param name="folder">With spotserve/segments, spotserve/arrivals and spotserve/profiles/T4-4x below it.</param>
    /// <exception cref="IOException">A file cannot be read; names it.</exception>
    /// <exception cref="TraceException">A file is malformed; names file and line.</exception>
    public static PaperInputs Load(string folder)
    {
        var root = Path.Combine(folder, "spotserve");
        return new PaperInputs(
            [
                PaperModel.Opt6Billion(Profile("6.7B")),
                PaperModel.Gpt20Billion(Profile("h6144")),
                PaperModel.Llama30Billion(Profile("h7168")),
            ],
            ImmutableDictionary.CreateRange(new Dictionary<string, Availability>
            {
                ["A_S"] = Segment("trace_0304_real.txt"),
                ["B_S"] = Segment("trace_0506_real.txt"),
                ["A_S+O"] = Segment("trace_0304_ondemand.txt"),
                ["B_S+O"] = Segment("trace_0506_ondemand.txt"),
                ["A'_S+O"] = Segment("trace_0304_workload.txt"),
                ["B'_S+O"] = Segment("trace_0506_workload.txt"),
            }),
            ImmutableDictionary.CreateRange(new Dictionary<string, ImmutableArray<Arrival>>
            {
                ["OPT-6.7B"] = Arrivals("query6144_tpt1.5_cv6.txt"),
                ["GPT-20B"] = Arrivals("query_tpt0.35_cv6.txt"),
                ["LLaMA-30B"] = Arrivals("query_tpt0.2_cv6.txt"),
                ["MAF"] = Arrivals("query_realAr_cv6.txt"),
            }));

        ProfileTable Profile(string name)
        {
            var path = Path.Combine(root, "profiles", "T4-4x", $"megatron_{name}_profile.json");
            return ProfileTable.Parse(path, Text(path));
        }

        Availability Segment(string name) =>
            AvailabilityReader.Read(name, Text(Path.Combine(root, "segments", name)));

        ImmutableArray<Arrival> Arrivals(string name) =>
            ArrivalReader.Read(name, Text(Path.Combine(root, "arrivals", name))).Arrivals;
    }

    /// <summary>A file's text, refused when it is none or too large to be read at once.</summary>
    /// <exception cref="IOException">Says which file, why, and what to do.</exception>
    public static string Text(string path)
    {
        if (Directory.Exists(path)) throw new IOException($"{path} is a folder; give a file.");
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        if (file.Length > BytesMax)
            throw new IOException($"{path} has {file.Length:N0} bytes; at most {BytesMax:N0} are read.");
        Span<byte> head = stackalloc byte[4];
        var known = head[..file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false)];
        foreach (var (magic, what, remedy) in Packed)
        {
            if (!known.StartsWith(magic)) continue;
            throw new IOException($"{path} is packed ({what}); unpack it first: {remedy}.");
        }

        file.Position = 0;
        using var reader = new StreamReader(file);
        var text = reader.ReadToEnd();
        return text.Contains('\0', StringComparison.Ordinal)
            ? throw new IOException($"{path} is no text: it has zero bytes. Give a text file (docs/simulate.md).")
            : text;
    }

    /// <summary>How packed files begin.</summary>
    private static readonly (byte[] Magic, string What, string Remedy)[] Packed =
    [
        ([0x1f, 0x8b], "gzip", "gunzip"), ([0x50, 0x4b, 3, 4], "zip", "unzip"),
        ([0x28, 0xb5, 0x2f, 0xfd], "zstd", "unzstd"), ([0xfd, 0x37, 0x7a, 0x58], "xz", "unxz"),
    ];
}
