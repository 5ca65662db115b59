using System.Text;
using Akka.Actor;
using CsCheck;
using SpotServe.Actors.Persistence;
using SpotServe.Tests.Serialization;
using Xunit;

namespace SpotServe.Tests.Persistence;

/// <summary>What lies in the journal is read as what was written, or not at all.</summary>
public sealed class EntryChecksumTests : PatientTestKit
{
    private JournalSerializer Serializer => new((ExtendedActorSystem)Sys, StoredEvents.Schema);

    [Fact]
    public void Any_changed_bit_is_found()
    {
        var serializer = Serializer;
        foreach (var written in TestEvents.All)
        {
            var (bytes, manifest) = (serializer.ToBinary(written), serializer.Manifest(written));
            for (var bit = 0; bit < 8 * bytes.Length; bit++)
            {
                var changed = bytes.ToArray();
                changed[bit / 8] ^= (byte)(1 << (bit % 8));
                AssertSameOrDamaged(serializer, written, changed, manifest);
            }
        }
    }

    [Fact]
    public void Any_cut_is_found_and_so_is_anything_put_behind() => Gen.Select(
        Gen.Int[0, TestEvents.All.Length - 1], Gen.Int[0, 4096], Gen.Byte.Array[0, 12]).Sample((index, length, more) =>
        {
            var serializer = Serializer;
            var written = TestEvents.All[index];
            var bytes = serializer.ToBinary(written);
            byte[] cut = [.. bytes[..Math.Min(length, bytes.Length)], .. more];
            AssertSameOrDamaged(serializer, written, cut, serializer.Manifest(written));
        });

    [Fact]
    public void Entry_of_a_former_version_without_a_checksum_is_read()
    {
        foreach (var written in TestEvents.All)
        {
            var text = StoredEvents.Schema.Write(written);
            SameContent.Holds(written, Serializer.FromBinary(text, Serializer.Manifest(written)), "entry");
        }
    }

    private static void AssertSameOrDamaged(
        JournalSerializer serializer, object written, byte[] bytes, string manifest)
    {
        object read;
        try
        {
            read = serializer.FromBinary(bytes, manifest);
        }
        catch (JournalFormatException)
        {
            return;
        }

        SameContent.Holds(written, read, Encoding.UTF8.GetString(bytes));
    }
}
