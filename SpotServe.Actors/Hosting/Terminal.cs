namespace SpotServe.Actors.Hosting;

/// <summary>
/// The process's standard output and error while it serves: what is said there goes through
/// <see cref="BoundedWriter"/>. Commands that print a result and end do without it: their reader wants all of it.
/// </summary>
public sealed class Terminal : IDisposable
{
    private static readonly TimeSpan FinishMax = TimeSpan.FromSeconds(1);

    private readonly TextWriter _output = Console.Out;
    private readonly TextWriter _error = Console.Error;
    private readonly BoundedWriter _boundedOutput;
    private readonly BoundedWriter _boundedError;

    private Terminal()
    {
        _boundedOutput = new BoundedWriter(StandardStream.OpenOutput());
        _boundedError = new BoundedWriter(StandardStream.OpenError());
        Console.SetOut(_boundedOutput);
        Console.SetError(_boundedError);
    }

    public static Terminal Take() => new();

    /// <summary>Says the last thing that a process has to say, and waits only a limited time for its reader.</summary>
    public static void SayLast(string line)
    {
        var last = new BoundedWriter(StandardStream.OpenError());
        last.WriteLine(line);
        last.Finish(FinishMax);
    }

    public void Dispose()
    {
        Console.SetOut(_output);
        Console.SetError(_error);
        _boundedOutput.Finish(FinishMax);
        _boundedError.Finish(FinishMax);
    }
}
