using SpotServe.Actors.Hosting;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Simulation;
using SpotServe.Seed.Recorder;
using Xunit;

namespace SpotServe.Tests.Evaluation;

/// <summary>Recordings of live clusters: what is written is read again, and what is broken is named.</summary>
public sealed class RecordingTests
{
    private static readonly string Begun = Recording.Line(
        new RecordedEntry.Begun(0, RecordedEntry.Begun.CurrentForm, DateTimeOffset.UnixEpoch, new PlannerOptions()));

    [Fact]
    public async Task What_a_recorder_is_given_is_in_its_file_without_the_clusters_secret()
    {
        var path = Path.Combine(Path.GetTempPath(), $"spotserve-{Guid.NewGuid():N}.jsonl");
        try
        {
            await using (var recorder = ClusterRecorder.Start(
                path,
                new PlannerOptions
                {
                    SecretMark = "mark",
                    RequiresEncryptedData = true,
                    Wanted = new LayoutDegrees(1, 2, 1, 4),
                },
                TimeProvider.System,
                _ => { }))
            {
                recorder.Write(new RecordedEntry.Arrived(1, 1, 10, 20));
                recorder.Write(new RecordedEntry.Ended(2.5, 1, null, 20, "Length"));
            }

            var text = await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken);
            var recording = Recording.Read(path, text);
            Assert.DoesNotContain("mark", text, StringComparison.Ordinal);
            Assert.Equal(new LayoutDegrees(1, 2, 1, 4), recording.Begun.Planner.Wanted);
            // Simulated machines could not join.
            Assert.False(recording.Begun.Planner.RequiresEncryptedData);
            Assert.Empty(recording.Notes);
            Assert.Contains(new RecordedEntry.Arrived(1, 1, 10, 20), recording.Entries);
            Assert.Contains(new RecordedEntry.Ended(2.5, 1, null, 20, "Length"), recording.Entries);
            Assert.Contains(recording.Entries, entry => entry is RecordedEntry.Over { Missing: 0 });
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_file_that_cannot_be_written_is_an_error_that_names_it()
    {
        var error = Assert.Throws<UsageException>(() => ClusterRecorder.Start(
            "/no/such/folder/file", new PlannerOptions(), TimeProvider.System, _ => { }));

        Assert.Contains("--record /no/such/folder/file", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"what\":\"gone\",\"seconds\":1}", "line 2")]
    [InlineData("{\"what\":\"nothing\",\"seconds\":1}", "line 2")]
    [InlineData("{\"what\":\"gone\",\"seconds\":-1,\"node\":\"a#1\"}", "line 2: its time is -1")]
    [InlineData("hello", "line 2")]
    public void A_malformed_line_is_named(string line, string expected)
    {
        var end = Recording.Line(new RecordedEntry.Over(2, 0));

        var error = Assert.Throws<TraceException>(() => Recording.Read("file", $"{Begun}\n{line}\n{end}\n"));

        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("LineNumber", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("Path:", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recording_begins_with_its_beginning()
    {
        var error = Assert.Throws<TraceException>(() =>
            Recording.Read("file", Recording.Line(new RecordedEntry.Over(2, 0))));

        Assert.Contains("line 1: a recording begins with", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recording_whose_process_was_killed_is_read_up_to_there_and_says_so()
    {
        var whole = Recording.Line(new RecordedEntry.NodeGone(1, "a#1"));

        var recording = Recording.Read("file", $"{Begun}\n{whole}\n{whole[..^5]}");

        Assert.Equal(new RecordedEntry.NodeGone(1, "a#1"), Assert.Single(recording.Entries));
        Assert.Contains(recording.Notes, note => note.StartsWith("file, line 3", StringComparison.Ordinal));
        Assert.Contains(recording.Notes, note => note.Contains("has no end", StringComparison.Ordinal));
    }

    [Fact]
    public void What_has_no_request_cannot_be_replayed_and_says_what_to_do()
    {
        var recording = Recording.Read("file", Begun);

        var error = Assert.Throws<TraceException>(() => RecordedReplay.Run("file", recording));

        Assert.Contains("record a cluster with nodes", error.Message, StringComparison.Ordinal);
    }
}
