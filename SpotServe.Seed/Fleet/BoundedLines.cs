namespace SpotServe.Seed.Fleet;

/// <summary>Splits text into lines without ever holding more than a bounded number of characters.</summary>
internal static class BoundedLines
{
    /// <summary>
    /// Reads until the end and calls <paramref name="onLine"/> for each line; a line of more than
    /// <paramref name="charactersMax"/> comes in several parts. A callback that is slow slows the writer down.
    /// </summary>
    public static async Task ReadAsync(
        TextReader reader, int charactersMax, Action<string> onLine, CancellationToken cancel)
    {
        var buffer = new char[charactersMax];
        var filled = 0;
        while (true)
        {
            var read = await reader.ReadAsync(buffer.AsMemory(filled), cancel).ConfigureAwait(false);
            if (read == 0) break;
            filled += read;
            filled = Emit(buffer, filled, onLine);
        }

        if (filled > 0) onLine(new string(buffer, 0, filled));
    }

    // Passes on all whole lines, moves the rest to the front and returns its length, which is less than the buffer's.
    private static int Emit(char[] buffer, int filled, Action<string> onLine)
    {
        var start = 0;
        for (var end = Array.IndexOf(buffer, '\n', 0, filled); end >= 0;)
        {
            onLine(new string(buffer, start, end - start).TrimEnd('\r'));
            start = end + 1;
            end = Array.IndexOf(buffer, '\n', start, filled - start);
        }

        if (start == 0 && filled == buffer.Length)
        {
            onLine(new string(buffer, 0, filled));
            return 0;
        }

        Array.Copy(buffer, start, buffer, 0, filled - start);
        return filled - start;
    }
}
