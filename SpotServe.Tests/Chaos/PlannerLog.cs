using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>What a seed's planner logs from now on, read as it is written: the only way to hear of a phase within a
/// millisecond or two of its beginning.</summary>
internal sealed class PlannerLog : IDisposable
{
    private static readonly TimeSpan WaitMax = Waits.Max;
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(1);
    private readonly StreamReader _reader;
    private string _unread = "";

    private PlannerLog(StreamReader reader) => _reader = reader;

    public static PlannerLog Follow(SeedProcess seed)
    {
        var file = new FileStream(seed.LogFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        file.Seek(0, SeekOrigin.End);
        return new PlannerLog(new StreamReader(file));
    }

    /// <summary>Waits for a line of the planner that begins so and that no earlier call has passed.</summary>
    public async Task SaysAsync(string text)
    {
        var wanted = $"/planner] {text}";
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(WaitMax);
        using var timer = new PeriodicTimer(Period);
        try
        {
            int found;
            while ((found = _unread.IndexOf(wanted, StringComparison.Ordinal)) < 0)
            {
                await timer.WaitForNextTickAsync(limit.Token);
                _unread += await _reader.ReadToEndAsync(limit.Token);
            }

            _unread = _unread[(found + wanted.Length)..];
        }
        catch (OperationCanceledException) when (!TestContext.Current.CancellationToken.IsCancellationRequested)
        {
            Assert.Fail($"the planner did not say \"{text}\" within {WaitMax.TotalSeconds:0} s, but:\n{_unread}");
        }
    }

    public void Dispose() => _reader.Dispose();
}
