using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace SpotServe.Tests.Fuzz;

/// <summary>
/// Inputs that are nearly right, given to all that reads what strangers wrote: none crashes it, hangs it, makes it fail
/// or grow. CI gives it the same few in each run; by command it runs for minutes, with others each time:
/// SPOTSERVE_FUZZ_MINUTES=5 SpotServe.Tests -explicit only -class SpotServe.Tests.Fuzz.FuzzTests
/// and SPOTSERVE_FUZZ_SEED, which each run prints, repeats one.
/// </summary>
public sealed class FuzzTests(ITestOutputHelper output)
{
    private const int InputsInCi = 400;
    private const int InputsOfARound = 2_000;

    /// <summary>Memory that is still in use behind a round, beyond that behind the first one. Caches that fill up to a
    /// bound are within it.</summary>
    private const long GrowthMax = 48L << 20;

    /// <summary>Far beyond what any input takes on a loaded machine; what takes longer hangs.</summary>
    private static readonly TimeSpan HangMax = TimeSpan.FromSeconds(60);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("http")]
    [InlineData("config")]
    [InlineData("tokenizer")]
    [InlineData("template")]
    [InlineData("safetensors")]
    public Task Nearly_right_input_does_no_harm(string target) => RunAsync(target, seed: 20261127, InputsInCi);

    [Fact(Explicit = true)]
    public async Task Nearly_right_inputs_of_minutes_do_no_harm()
    {
        var minutes = Number("SPOTSERVE_FUZZ_MINUTES") ?? 5;
        var first = Number("SPOTSERVE_FUZZ_SEED") ?? Environment.TickCount & 0xFFFFFF;
        var clock = Stopwatch.StartNew();
        string[] targets = ["http", "config", "tokenizer", "template", "safetensors"];
        var lives = new Dictionary<string, long>();
        var seed = first;
        for (; clock.Elapsed.TotalMinutes < minutes; seed++)
        {
            foreach (var target in targets)
            {
                await RunAsync(target, seed, InputsOfARound);
                var live = GC.GetTotalMemory(forceFullCollection: true);
                // What the first round leaves is what is loaded once.
                if (seed == first) lives[target] = live;
                Assert.True(
                    live - lives[target] < GrowthMax,
                    $"{target}: {lives[target]:N0} bytes grew to {live:N0}, seed {seed}");
            }
        }

        output.WriteLine(
            $"{(seed - first) * InputsOfARound:N0} inputs of each of {string.Join(", ", targets)}, " +
            $"seeds {first} to {seed - 1}");
    }

    private async Task RunAsync(string name, int seed, int inputs)
    {
        await using var target = await StartAsync(name);
        var random = new Random(seed);
        var mutator = new Mutator(random, target.Corpus, target.Words);
        output.WriteLine($"{name}: SPOTSERVE_FUZZ_SEED={seed}, {inputs} inputs");
        for (var i = 0; i < inputs; i++)
        {
            var input = mutator.Next();
            try
            {
                await Task.Run(() => target.TakeAsync(input, random), Cancel).WaitAsync(HangMax, Cancel);
            }
            catch (Exception error)
            {
                var file = Path.Combine(Path.GetTempPath(), $"spotserve-fuzz-{name}-{seed}-{i}");
                await File.WriteAllBytesAsync(file, input, CancellationToken.None);
                throw new FuzzException($"{name}, seed {seed}, input {i} (kept as {file}): {error.Message}", error);
            }
        }

        await target.CheckAsync();
    }

    private static async Task<FuzzTarget> StartAsync(string name) => name switch
    {
        "http" => await HttpTarget.StartAsync(),
        "config" => new ConfigTarget(),
        "tokenizer" => new TokenizerTarget(),
        "template" => new TemplateTarget(),
        "safetensors" => new SafetensorsTarget(),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "There is no such target."),
    };

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out var number)
            ? number
            : null;
}
