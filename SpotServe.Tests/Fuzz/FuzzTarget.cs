using System.Text;

namespace SpotServe.Tests.Fuzz;

/// <summary>Something that reads what strangers wrote. One run of inputs has one of its own.</summary>
internal abstract class FuzzTarget : IAsyncDisposable
{
    /// <summary>Good inputs.</summary>
    public abstract IReadOnlyList<byte[]> Corpus { get; }

    /// <summary>What its inputs are made of.</summary>
    public abstract IReadOnlyList<string> Words { get; }

    /// <summary>Gives it an input; throws when that does what none may.</summary>
    /// <param name="random">For what is drawn beside the input, such as where it goes.</param>
    public abstract Task TakeAsync(byte[] input, Random random);

    /// <summary>Checks, behind all inputs, that it works as before; throws when it does not.</summary>
    public virtual Task CheckAsync() => Task.CompletedTask;

    public virtual ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>A complaint is one line, so that it can stand in a log, and says what it is about.</summary>
    protected static void CheckComplaint(Exception error, string subject)
    {
        if (error.Message.Contains('\n', StringComparison.Ordinal) || error.Message.Length > 4_096
            || !error.Message.Contains(subject, StringComparison.Ordinal))
        {
            throw new FuzzException($"a complaint is no line about {subject}: {error.Message}");
        }
    }

    protected static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);
}

/// <summary>An input did what none may do.</summary>
internal sealed class FuzzException(string what, Exception? inner = null) : Exception(what, inner);
