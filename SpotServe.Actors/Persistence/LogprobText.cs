using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// Log-probabilities as journal text: base64 of, for each token, the count of alternatives (4 bytes), its own (4), then
/// token and log-probability of each alternative (4 each), little-endian. Of a prompt's tokens also their rank (4),
/// behind their own.
/// </summary>
internal static class LogprobText
{
    private const int HeadBytes = 2 * sizeof(int);

    /// <param name="ranked">Of a prompt.</param>
    public static string Write(ImmutableArray<TokenLogprobs> logprobs, bool ranked = false)
    {
        var numbers = new List<int>();
        foreach (var one in logprobs)
        {
            numbers.Add(one.Top.Length);
            numbers.Add(BitConverter.SingleToInt32Bits(one.Logprob));
            if (ranked) numbers.Add(one.Rank ?? throw new InvariantException("a prompt's token has its rank"));
            numbers.AddRange(MemoryMarshal.Cast<TopToken, int>(one.Top.AsSpan()));
        }

        return Convert.ToBase64String(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(numbers)));
    }

    /// <exception cref="JournalFormatException">The text is no base64, or not of log-probabilities.</exception>
    public static ImmutableArray<TokenLogprobs> Read(string text, bool ranked = false)
    {
        var headBytes = ranked ? HeadBytes + sizeof(int) : HeadBytes;
        try
        {
            ReadOnlySpan<byte> bytes = Convert.FromBase64String(text);
            var logprobs = ImmutableArray.CreateBuilder<TokenLogprobs>();
            while (!bytes.IsEmpty)
            {
                var count = BitConverter.ToInt32(bytes);
                var own = BitConverter.ToSingle(bytes[sizeof(int)..]);
                if (count is < 0 or > TokenLogprobs.TopMax)
                    throw new FormatException($"{count} alternatives of a token");
                var top = MemoryMarshal.Cast<byte, TopToken>(bytes.Slice(headBytes, count * 2 * sizeof(int)));
                logprobs.Add(new TokenLogprobs(own, [.. top])
                {
                    Rank = ranked ? BitConverter.ToInt32(bytes[HeadBytes..]) : null,
                });
                bytes = bytes[(headBytes + (count * 2 * sizeof(int)))..];
            }

            return logprobs.ToImmutable();
        }
        catch (Exception error) when (error is FormatException or ArgumentException)
        {
            throw new JournalFormatException($"Damaged log-probabilities in the journal: {error.Message}", error);
        }
    }
}
