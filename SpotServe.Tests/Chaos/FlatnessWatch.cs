using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using Npgsql;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// Looks at what must not grow while a cluster runs for long: memory, handles and threads of the control node, which
/// lives through all of it, memory of the largest node, which are others all the time, KV pages that are taken, and the
/// journal's size.
/// </summary>
/// <param name="tokens">How many tokens were read so far, by which the journal's size is judged: it holds those of its
/// last minutes, and how fast they come depends on what else the machine does.</param>
/// <param name="journalBytes">What the journal takes; null is that of the SQLite files.</param>
internal sealed class FlatnessWatch(
    HandMadeCluster cluster, Func<int> tokens, Action<string> tell, Func<Task<long>>? journalBytes = null)
{
    /// <summary>Caches still fill in shorter runs: they are told of and not judged.</summary>
    public static readonly TimeSpan JudgedFrom = TimeSpan.FromMinutes(10);

    /// <summary>A request leaves the journal so long after its end.</summary>
    private static readonly TimeSpan Retention = TimeSpan.FromMinutes(10);

    /// <summary>Before twice the retention the journal's size says nothing.</summary>
    private static readonly TimeSpan JournalJudgedFrom = TimeSpan.FromMinutes(25);

    private static readonly TimeSpan Every = TimeSpan.FromSeconds(10);
    private readonly List<Sample> _samples = [];
    private readonly long _started = Stopwatch.GetTimestamp();

    private sealed record Sample(
        TimeSpan At, long MegaBytes, int Handles, int Threads, long NodeMegaBytes, int? PagesTaken, long JournalBytes,
        int Tokens);

    public async Task RunAsync(CancellationToken until)
    {
        using var timer = new PeriodicTimer(Every);
        try
        {
            do
            {
                var sample = await LookAsync(until);
                _samples.Add(sample);
                if (_samples.Count % 6 == 1) tell(Line(sample));
            }
            while (await timer.WaitForNextTickAsync(until));
        }
        catch (OperationCanceledException)
        {
            // The run is over.
        }
    }

    /// <summary>What grew although it should not have; empty after a run that was too short to say.</summary>
    public IReadOnlyList<string> Growth()
    {
        var ran = Stopwatch.GetElapsedTime(_started);
        if (ran < JudgedFrom) return [];
        // The second quarter is warm; the last is where a leak shows.
        var early = Median(_samples[(_samples.Count / 4)..(_samples.Count / 2)]);
        var late = Median(_samples[(_samples.Count * 3 / 4)..]);
        tell($"second quarter: {Line(early)}");
        tell($"last quarter:   {Line(late)}");
        List<string> grown = [];
        Judge("memory of the control node, MB", early.MegaBytes, late.MegaBytes, 32 + (early.MegaBytes / 5));
        Judge("handles of the control node", early.Handles, late.Handles, 32);
        Judge("threads of the control node", early.Threads, late.Threads, 16);
        Judge("memory of a node, MB", early.NodeMegaBytes, late.NodeMegaBytes, 64 + (early.NodeMegaBytes / 5));
        Judge("KV pages that are taken", early.PagesTaken ?? 0, late.PagesTaken ?? 0, 64 + (early.PagesTaken ?? 0));
        if (ran >= JournalJudgedFrom)
            JudgeJournal();
        return grown;

        void Judge(string what, long before, long after, long most)
        {
            if (after - before > most) grown.Add($"{what}: {before:N0}, later {after:N0}; {most:N0} more is the most");
        }

        // Its file keeps the size of the busiest minutes that it has seen.
        void JudgeJournal()
        {
            var half = _samples.Count / 2;
            var busier = (double)MostTokens(_samples.Count) / Math.Max(1, MostTokens(half));
            var before = (long)(early.JournalBytes * Math.Max(1, busier));
            Judge($"bytes of the journal, {busier:0.0} times as busy", before, late.JournalBytes, before / 2);
        }
    }

    /// <summary>The most tokens within one retention among the first samples.</summary>
    private int MostTokens(int samples) => Enumerable.Range(0, samples).Max(last =>
        _samples[last].Tokens
        - _samples.First(sample => sample.At >= _samples[last].At - Retention).Tokens);

    private async Task<Sample> LookAsync(CancellationToken cancel)
    {
        using var seed = Process.GetProcessById(cluster.Seed.Id);
        var nodes = cluster.Nodes.Where(node => !node.HasExited).Select(node => node.ResidentBytes);
        return new Sample(
            Stopwatch.GetElapsedTime(_started),
            seed.WorkingSet64 >> 20,
            Directory.GetFiles($"/proc/{seed.Id}/fd").Length,
            seed.Threads.Count,
            nodes.DefaultIfEmpty().Max() >> 20,
            await PagesTakenAsync(cancel),
            await JournalBytesAsync(),
            tokens());
    }

    /// <summary>As it was last while its server is restarted.</summary>
    private async Task<long> JournalBytesAsync()
    {
        try
        {
            return journalBytes is null
                ? Directory.GetFiles(cluster.Seed.DataFolder, "*.db*").Sum(file => new FileInfo(file).Length)
                : await journalBytes();
        }
        catch (NpgsqlException)
        {
            return _samples.Count == 0 ? 0 : _samples[^1].JournalBytes;
        }
    }

    /// <summary>Null while nobody can say.</summary>
    private async Task<int?> PagesTakenAsync(CancellationToken cancel)
    {
        try
        {
            var answer = await cluster.Http.GetFromJsonAsync<JsonElement>("/admin/replicas", cancel);
            var replicas = answer.GetProperty("replicas").EnumerateArray().ToArray();
            return replicas.Length == 0 ? null : replicas.Sum(
                replica => replica.GetProperty("page_count").GetInt32() - replica.GetProperty("free_pages").GetInt32());
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private static Sample Median(List<Sample> samples)
    {
        return new Sample(
            samples[^1].At, (long)Of(one => one.MegaBytes), (int)Of(one => one.Handles), (int)Of(one => one.Threads),
            samples.Max(one => one.NodeMegaBytes), (int)Of(one => one.PagesTaken ?? 0),
            (long)Of(one => one.JournalBytes), samples[^1].Tokens);

        double Of(Func<Sample, double> what) => samples.Select(what).Order().ElementAt(samples.Count / 2);
    }

    private static string Line(Sample sample) => string.Create(
        CultureInfo.InvariantCulture,
        $"{sample.At.TotalSeconds,5:0} s: control node {sample.MegaBytes} MB, {sample.Handles} handles, "
        + $"{sample.Threads} threads; largest node {sample.NodeMegaBytes} MB; {sample.PagesTaken?.ToString() ?? "?"} "
        + $"pages taken; journal {sample.JournalBytes / 1024.0 / 1024:0.0} MB");
}
