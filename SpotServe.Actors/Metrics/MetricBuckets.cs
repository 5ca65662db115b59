namespace SpotServe.Actors.Metrics;

/// <summary>Upper ends of histograms' buckets. Few, because each is a number in every report.</summary>
internal static class MetricBuckets
{
    /// <summary>From one decode step of a small model on a fast device to the longest wait that a client has.</summary>
    public static IReadOnlyList<double> Seconds { get; } =
    [
        0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 5, 7.5, 10,
        15, 20, 30, 60, 120, 300, 600, 1800,
    ];

    /// <summary>From a single token to the longest prompts.</summary>
    public static IReadOnlyList<double> Tokens { get; } =
    [
        1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072,
    ];
}
