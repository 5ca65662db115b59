using Akka.Actor;
using Akka.Serialization;

namespace SpotServe.Actors.Persistence;

/// <summary>Writes events to the journal in its own versioned schema, which outlives any build of the code.</summary>
internal sealed class JournalSerializer(ExtendedActorSystem system, JournalSchema schema)
    : SerializerWithStringManifest(system)
{
    /// <summary>Fixed: it is stored with every event.</summary>
    public override int Identifier => 5108;

    /// <exception cref="JournalFormatException">The event has no stored form.</exception>
    public override string Manifest(object o) => schema.ManifestOf(o);

    /// <exception cref="JournalFormatException">The event has no stored form.</exception>
    public override byte[] ToBinary(object obj) => EntryChecksum.Append(schema.Write(obj));

    /// <exception cref="JournalFormatException">The manifest is unknown, or the bytes are not of its form.</exception>
    public override object FromBinary(byte[] bytes, string manifest) => bytes is null
        ? throw new JournalFormatException($"Journal entry '{manifest}' has no content.")
        : schema.Read(EntryChecksum.Check(bytes, manifest), manifest);
}
