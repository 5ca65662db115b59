using System.Text;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Requests;
using SpotServe.Tests.Serialization;
using SpotServe.Tests.Tidy;
using Xunit;

namespace SpotServe.Tests.Persistence;

public sealed class JournalSchemaTests
{
    private static readonly JournalSchema Schema = StoredEvents.Schema;

    [Fact]
    public void Every_event_of_the_journals_has_a_stored_form()
    {
        var events = new[] { typeof(RequestEvents), typeof(PlannerEvents), typeof(FleetEvents) }
            .SelectMany(t => t.GetNestedTypes()).Where(t => !t.IsInterface);

        Assert.Equivalent(events, Schema.Events, strict: true);
        Assert.Equivalent(Schema.Events, TestEvents.All.Select(e => e.GetType()).Distinct(), strict: true);
    }

    // Databases hold what these files hold. Never change a line: a new form is a new version, and a new line.
    [Fact]
    public void Stored_form_is_that_of_the_golden_file()
    {
        var stored = TestEvents.All.Select(e => $"{Schema.ManifestOf(e)} {Encoding.UTF8.GetString(Schema.Write(e))}");

        Assert.Equal(Golden("golden-events.txt"), stored);
    }

    [Fact]
    public void Golden_entries_of_all_versions_can_be_read()
    {
        string[] lines = [.. Golden("golden-events-old.txt"), .. Golden("golden-events.txt")];
        object[] meant = [.. TestEvents.Old, .. TestEvents.All];

        var read = lines.Select(line => line.Split(' ', 2))
            .Select(parts => Schema.Read(Encoding.UTF8.GetBytes(parts[1]), parts[0])).ToArray();

        Assert.Equal(meant.Length, read.Length);
        for (var i = 0; i < read.Length; i++) SameContent.Holds(meant[i], read[i], read[i].GetType().Name);
        Assert.Equivalent(Schema.Manifests, lines.Select(line => line.Split(' ')[0]).Distinct(), strict: true);
    }

    [Theory]
    [InlineData("request-accepted.9", "request-accepted.1")]
    [InlineData("order-placed.1", "order-placed.1")]
    [InlineData("", "''")]
    public void Unknown_manifest_is_an_error_that_names_it(string manifest, string named)
    {
        var error = Assert.Throws<JournalFormatException>(() => Schema.Read("{}"u8.ToArray(), manifest));

        Assert.Contains($"'{manifest}'", error.Message, StringComparison.Ordinal);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokens-committed.1", """{"id":"a","firstIndex":1}""")]
    [InlineData("tokens-committed.1", """{"id":"a","firstIndex":1,"tokens":"####"}""")]
    [InlineData("tokens-committed.1", """{"id":"a","firstIndex":1,"tokens":"gA=="}""")]
    [InlineData("tokens-committed.1", """{"id":"a","firstIndex":1,"tokens":"","more":1}""")]
    [InlineData("tokens-committed.2", """{"id":"a","firstIndex":1,"tokens":"","logprobs":"AAAA"}""")]
    [InlineData("tokens-committed.2", """{"id":"a","firstIndex":1,"tokens":"","logprobs":"GQAAAAAAAAA="}""")]
    [InlineData("tokens-committed.1", "null")]
    [InlineData("tokens-committed.1", "\u0001")]
    [InlineData("request-finished.1", """{"id":"a","reason":"bored","at":"2026-11-24T13:14:15Z"}""")]
    public void Damaged_entry_is_an_error_that_names_its_manifest(string manifest, string content)
    {
        var error = Assert.Throws<JournalFormatException>(() => Schema.Read(Encoding.UTF8.GetBytes(content), manifest));

        Assert.True(error.Message.Contains(manifest, StringComparison.Ordinal) ||
            error.Message.Contains("Damaged ", StringComparison.Ordinal));
    }

    /// <summary>What a request ended by is stored by a name of its own, and read by that name.</summary>
    [Theory]
    [InlineData(FinishReason.Stop, "stop")]
    [InlineData(FinishReason.Length, "length")]
    [InlineData(FinishReason.Cancelled, "cancelled")]
    [InlineData(FinishReason.Failed, "failed")]
    [InlineData(FinishReason.TimedOut, "timed-out")]
    public void Every_end_of_a_request_is_read_as_it_was_written(FinishReason reason, string name)
    {
        var ended = new RequestEvents.RequestFinished(new RequestId("a"), reason, null, TestEvents.At);

        var stored = Schema.Write(ended);

        Assert.Contains($"\"reason\":\"{name}\"", Encoding.UTF8.GetString(stored), StringComparison.Ordinal);
        Assert.Equal(ended, Schema.Read(stored, Schema.ManifestOf(ended)));
        Assert.Equal(5, Enum.GetValues<FinishReason>().Length);
    }

    [Fact]
    public void Older_version_becomes_todays_event()
    {
        var schema = new JournalSchema.Builder()
            .Reads<RenamedV1>("renamed.1")
            .Writes<Renamed, RenamedV2>("renamed.2", e => new RenamedV2(e.First, e.Last))
            .Build();

        var read = schema.Read("""{"name":"Ada Lovelace"}"""u8.ToArray(), "renamed.1");

        Assert.Equal(new Renamed("Ada", "Lovelace"), read);
        Assert.Equal("renamed.2", schema.ManifestOf(new Renamed("Ada", "Lovelace")));
    }

    [Fact]
    public void Event_without_a_stored_form_is_refused()
    {
        var error = Assert.Throws<JournalFormatException>(() => Schema.Write(new Renamed("a", "b")));

        Assert.Contains(nameof(Renamed), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tokens_take_at_most_four_characters_each()
    {
        var random = new Random(3);
        var tokens = Enumerable.Range(0, 999).Select(_ => random.Next(128_256)).ToArray();

        var text = TokenText.Write([.. tokens]);

        Assert.Equal(tokens, TokenText.Read(text));
        Assert.InRange(text.Length, 2 * tokens.Length, 4 * tokens.Length);
    }

    private static string[] Golden(string file) =>
        File.ReadAllLines(Path.Combine(Checkout.Root, "SpotServe.Tests", "Persistence", file));

    private sealed record Renamed(string First, string Last);

    private sealed record RenamedV1(string Name) : IJournalForm
    {
        public object ToEvent() => new RenamedV2(Name.Split(' ')[0], Name.Split(' ')[1]).ToEvent();
    }

    private sealed record RenamedV2(string First, string Last) : IJournalForm
    {
        public object ToEvent() => new Renamed(First, Last);
    }
}
