using System.Collections.Immutable;
using System.Text;
using static SpotServe.Actors.Replica.HandoverProtocol;

namespace SpotServe.Actors.Replica;

/// <summary>Cuts what is handed over into messages of moderate length, so that the first can be acted on while the
/// others are still on their way.</summary>
internal static class HandoverChunks
{
    /// <summary>Estimated content of one message; a single sequence may take more.</summary>
    internal const int BytesMax = 60_000;

    /// <summary>Pages of one round: few enough that a round soon has its answer on a slow link.</summary>
    internal const int RoundPagesMax = 512;

    // Of one that is not astronomical.
    private const int BirthBytes = 6;

    // Type tags, lengths, counts; with a subscriber's path in a handed sequence.
    private const int PagesOverhead = 32;
    private const int SequenceOverhead = 384;

    /// <summary>Rounds of at most <see cref="RoundPagesMax"/> pages, in order; a long table is cut.</summary>
    public static IEnumerable<ImmutableArray<SequencePages>> Rounds(IEnumerable<SequencePages> sequences)
    {
        var round = ImmutableArray.CreateBuilder<SequencePages>();
        var (pages, bytes) = (0, 0);
        foreach (var sequence in sequences)
        {
            for (var from = 0; from < sequence.Pages.Length;)
            {
                var count = Math.Min(sequence.Pages.Length - from, RoundPagesMax - pages);
                var part = sequence.Pages.Slice(from, count);
                round.Add(sequence with
                {
                    FirstIndex = sequence.FirstIndex + from,
                    Pages = part,
                    Births = sequence.Births.Slice(from, count),
                });
                from += count;
                pages += count;
                bytes += PagesOverhead + BytesOf(sequence.Id.Value) + BytesOf(part) + (BirthBytes * count);
                if (pages < RoundPagesMax && bytes < BytesMax) continue;
                yield return round.DrainToImmutable();
                (pages, bytes) = (0, 0);
            }
        }

        if (round.Count > 0) yield return round.DrainToImmutable();
    }

    /// <summary>Groups of sequences that fit a message each, in order.</summary>
    public static IEnumerable<ImmutableArray<HandedSequence>> Groups(IEnumerable<HandedSequence> sequences)
    {
        var group = ImmutableArray.CreateBuilder<HandedSequence>();
        var bytes = 0;
        foreach (var sequence in sequences)
        {
            var more = BytesOf(sequence);
            if (group.Count > 0 && bytes + more > BytesMax)
            {
                yield return group.DrainToImmutable();
                bytes = 0;
            }

            group.Add(sequence);
            bytes += more;
        }

        if (group.Count > 0) yield return group.DrainToImmutable();
    }

    /// <summary>Estimated bytes of a sequence in a message.</summary>
    public static int BytesOf(HandedSequence sequence) =>
        SequenceOverhead + BytesOf(sequence.Id.Value) + BytesOf(sequence.Spec.Prompt) + BytesOf(sequence.Generated)
        + BytesOf(sequence.Spec.Parameters.StopTokens) + sequence.Spec.Parameters.Stops.Sum(BytesOf)
        + BytesOf(sequence.Pages) + (BirthBytes * sequence.Births.Length)
        + (int)Fragments.SizeBounds.Logprobs(sequence.Logprobs);

    private static int BytesOf(string text) => Encoding.UTF8.GetByteCount(text);

    private static int BytesOf(ImmutableArray<int> values)
    {
        var bytes = 0;
        foreach (var value in values)
        {
            bytes += (uint)value switch { < 1 << 6 => 1, < 1 << 13 => 2, < 1 << 20 => 3, < 1 << 27 => 4, _ => 5 };
        }

        return bytes;
    }
}
