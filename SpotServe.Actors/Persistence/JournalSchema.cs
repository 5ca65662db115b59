using System.Collections.Frozen;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// One version of one event as it lies in the journal: a record of plain values whose names never change. When an
/// event needs another form, add a record with the next version, make that one the written form, and let the old one
/// turn into it: <c>ToEvent() => new ThingV2(...).ToEvent()</c>. Forms that were ever written stay forever.
/// </summary>
internal interface IJournalForm
{
    /// <summary>The event of today's code that this stored one means.</summary>
    object ToEvent();
}

/// <summary>
/// Which events the journal knows, in which versions. The manifest is "name.version", e.g. "request-accepted.1"; the
/// content is JSON in UTF-8.
/// </summary>
internal sealed class JournalSchema
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        // The text is never part of a page: base64's '+' need not become six characters.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        // A stored form is fixed: a missing or an unexpected value is damage, not something to guess about.
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    };

    private readonly FrozenDictionary<string, Type> _readers;
    private readonly FrozenDictionary<Type, Writer> _writers;

    private JournalSchema(FrozenDictionary<string, Type> readers, FrozenDictionary<Type, Writer> writers)
    {
        _readers = readers;
        _writers = writers;
    }

    /// <summary>Event types that can be written.</summary>
    public IEnumerable<Type> Events => _writers.Keys;

    /// <summary>All manifests that can be read, old versions included.</summary>
    public IEnumerable<string> Manifests => _readers.Keys;

    /// <exception cref="JournalFormatException">The event has no stored form.</exception>
    public string ManifestOf(object @event) => WriterOf(@event).Manifest;

    /// <exception cref="JournalFormatException">The event has no stored form.</exception>
    public byte[] Write(object @event)
    {
        var form = WriterOf(@event).ToForm(@event);
        return JsonSerializer.SerializeToUtf8Bytes(form, form.GetType(), Json);
    }

    /// <exception cref="JournalFormatException">The manifest is unknown, or the content is not of its form.</exception>
    public object Read(byte[] content, string manifest)
    {
        if (!_readers.TryGetValue(manifest, out var form)) throw UnknownManifest(manifest);
        try
        {
            return JsonSerializer.Deserialize(content, form, Json) is IJournalForm stored
                ? stored.ToEvent()
                : throw new JournalFormatException($"Journal entry '{manifest}' holds null.");
        }
        // Well-formed text may still say what no event of today can be made of.
        catch (Exception error) when (error is JsonException or ArgumentException or FormatException
            or InvalidOperationException or InvariantException or OverflowException)
        {
            throw new JournalFormatException(
                $"Journal entry '{manifest}' of {content.Length} bytes is damaged: {error.Message}", error);
        }
    }

    private Writer WriterOf(object @event) => _writers.TryGetValue(@event.GetType(), out var writer)
        ? writer
        : throw new JournalFormatException(
            $"{@event.GetType().FullName} has no stored form: add one to the journal's schema.");

    private JournalFormatException UnknownManifest(string manifest)
    {
        var name = manifest.Split('.')[0];
        var versions = _readers.Keys.Where(k => k.Split('.')[0] == name).Order(StringComparer.Ordinal).ToArray();
        return new JournalFormatException(versions.Length == 0
            ? $"Unknown journal entry '{manifest}'. Is this database another program's, or a newer SpotServe's?"
            : $"Journal entry '{manifest}' has a version that this SpotServe does not know (it knows " +
              $"{string.Join(", ", versions)}). Run the version that wrote it, or a newer one.");
    }

    /// <summary>Collects the forms.</summary>
    public sealed class Builder
    {
        private readonly Dictionary<string, Type> _readers = [];
        private readonly Dictionary<Type, Writer> _writers = [];

        /// <summary>A form that is read but no longer written.</summary>
        public Builder Reads<TForm>(string manifest)
            where TForm : IJournalForm
        {
            Invariant.Holds(manifest.Split('.') is [_, var version] && int.TryParse(version, out _));
            _readers.Add(manifest, typeof(TForm));
            return this;
        }

        /// <summary>The form in which an event is written today; it is read, too.</summary>
        public Builder Writes<TEvent, TForm>(string manifest, Func<TEvent, TForm> toForm)
            where TForm : IJournalForm
        {
            _writers.Add(typeof(TEvent), new Writer(manifest, @event => toForm((TEvent)@event)));
            return Reads<TForm>(manifest);
        }

        public JournalSchema Build() => new(_readers.ToFrozenDictionary(), _writers.ToFrozenDictionary());
    }

    private sealed record Writer(string Manifest, Func<object, IJournalForm> ToForm);
}
