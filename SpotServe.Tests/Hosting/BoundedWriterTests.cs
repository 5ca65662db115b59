using SpotServe.Actors.Hosting;
using Xunit;

namespace SpotServe.Tests.Hosting;

/// <summary>What is said on a terminal holds up nobody, whatever its reader does.</summary>
public sealed class BoundedWriterTests
{
    private static readonly TimeSpan Long = Waits.Max;

    [Fact]
    public void Text_arrives_in_order()
    {
        var inner = new StringWriter();
        var writer = new BoundedWriter(inner);

        for (var i = 0; i < 100; i++) writer.WriteLine($"{i}");

        Assert.True(writer.Finish(Long));
        Assert.Equal(Enumerable.Range(0, 100).Select(i => $"{i}"), inner.ToString().TrimEnd().Split('\n'));
    }

    [Fact]
    public void Writer_of_a_reader_that_stopped_waits_for_nothing_and_says_later_how_much_is_missing()
    {
        using var inner = new StuckWriter();
        var writer = new BoundedWriter(inner);
        writer.WriteLine("first");
        inner.Entered.Wait(Long, TestContext.Current.CancellationToken);

        for (var i = 0; i < 3 * BoundedWriter.TextsMax; i++) writer.WriteLine(new string('x', 100));
        var dropped = writer.Dropped;
        inner.Release.Set();

        Assert.Equal(2 * BoundedWriter.TextsMax, dropped);
        Assert.True(writer.Finish(Long));
        Assert.Contains($"({dropped} lines were dropped here", inner.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Reader_that_is_gone_is_no_error()
    {
        var writer = new BoundedWriter(new BrokenWriter());

        writer.WriteLine("a");
        writer.Write("b");

        Assert.True(writer.Finish(Long));
        writer.WriteLine("c");
        Assert.Equal(3, writer.Dropped);
    }

    [Fact]
    public void Text_without_end_is_cut()
    {
        var inner = new StringWriter();
        var writer = new BoundedWriter(inner);

        writer.Write(new string('x', 10 * BoundedWriter.CharsMax));

        Assert.True(writer.Finish(Long));
        Assert.InRange(inner.ToString().Length, BoundedWriter.CharsMax, BoundedWriter.CharsMax + 10);
    }

    /// <summary>A full pipe: the first write does not return until it is let go.</summary>
    private sealed class StuckWriter : StringWriter
    {
        public ManualResetEventSlim Entered { get; } = new();

        public ManualResetEventSlim Release { get; } = new();

        public string Text { get; private set; } = "";

        public override void Write(string? value)
        {
            Entered.Set();
            Release.Wait();
            Text += value;
        }

        public override void WriteLine(string? value) => Write(value + "\n");

        protected override void Dispose(bool disposing)
        {
            Entered.Dispose();
            Release.Dispose();
            base.Dispose(disposing);
        }
    }

    private sealed class BrokenWriter : StringWriter
    {
        public override void Write(string? value) => throw new IOException("Broken pipe");

        public override void WriteLine(string? value) => throw new IOException("Broken pipe");
    }
}
