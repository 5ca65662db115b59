using SpotServe.Seed.Hosting;

namespace SpotServe.Seed.Narration;

/// <summary>What a person at the terminal is told of the cluster: what happens, or with --verbose all that the planner
/// does.</summary>
internal sealed class Narrators : IDisposable
{
    private readonly Action _stop;

    private Narrators(Action stop) => _stop = stop;

    /// <summary>Tells until it is disposed.</summary>
    public static Narrators Begin(SeedHost seed, bool isVerbose, TextWriter output)
    {
        if (isVerbose)
        {
            var details = new ClusterNarrator(output);
            seed.Board.Changed += details.OnView;
            seed.Journal.Told += details.OnJournal;
            return new Narrators(() => seed.Board.Changed -= details.OnView);
        }

        var story = new StoryNarrator(seed.Names, output);
        seed.Journal.Told += story.OnJournal;
        seed.Watch.Changed += OnChanged;
        return new Narrators(() => seed.Watch.Changed -= OnChanged);

        void OnChanged() => story.Tell(seed.Watch.Latest);
    }

    public void Dispose() => _stop();
}
