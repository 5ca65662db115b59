using Hyperion;
using Hyperion.ValueSerializers;

namespace SpotServe.Actors.Serialization;

/// <summary>
/// A record by its fields, as Hyperion writes a known type: its index, then field by field. The code for it is compiled
/// when the first record of the type is written or read: a process meets a few of the types, and compiling all of them
/// was a large part of its start (docs/adr/0132).
/// </summary>
internal sealed class RecordSerializer(ushort index, Type type, Serializer serializer) : ValueSerializer
{
    private readonly byte[] _manifest = [ObjectSerializer.ManifestIndex, (byte)index, (byte)(index >> 8)];

    private readonly Lazy<ObjectSerializer> _fields = new(() =>
    {
        var fields = new ObjectSerializer(type);
        serializer.CodeGenerator.BuildSerializer(serializer, fields);
        return fields;
    });

    public override void WriteManifest(Stream stream, SerializerSession session) => stream.Write(_manifest);

    public override void WriteValue(Stream stream, object value, SerializerSession session) =>
        _fields.Value.WriteValue(stream, value, session);

    public override object ReadValue(Stream stream, DeserializerSession session) =>
        _fields.Value.ReadValue(stream, session);

    public override Type GetElementType() => type;
}
