using Microsoft.AspNetCore.Http;
using SpotServe.Node.Preemption;
using SpotServe.Node.Preemption.Clouds;
using Xunit;

namespace SpotServe.Tests.Preemption;

/// <summary>A metadata service in trouble: what it says afterwards is heard, of every cloud.</summary>
public sealed class TroubledMetadataTests
{
    /// <summary>Questions that go wrong, one after the other.</summary>
    private const int Troubles = 4;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string, string> Combinations()
    {
        var all = new TheoryData<string, string>();
        foreach (var cloud in (string[])["aws", "azure", "gcp"])
            foreach (var trouble in (string[])["404", "429", "500", "hangs", "breaks off", "says nonsense"])
                all.Add(cloud, trouble);
        return all;
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public async Task Notice_is_heard_though_the_service_was_in_trouble_before(string cloud, string trouble)
    {
        var asked = 0;
        var well = Cloud(cloud);
        await using var server = await MetadataServer.StartAsync(
            context => Interlocked.Increment(ref asked) > Troubles ? well(context) : FailAsync(context, trouble));
        var source = new DetectedCloud(
            Enum.Parse<CloudKind>(cloud, ignoreCase: true), server.Address, new HastyClock(), _ => { });

        Assert.IsType<MachineEvent.Leaves>(await FirstAsync(source));
        Assert.True(asked > Troubles, $"{asked} questions");
    }

    [Theory]
    [InlineData("500")]
    [InlineData("hangs")]
    public async Task Cloud_whose_service_comes_later_than_the_node_is_found(string trouble)
    {
        // Three clouds are looked for at a time.
        var looks = 0;
        var well = Cloud("aws");
        await using var server = await MetadataServer.StartAsync(
            context => Interlocked.Increment(ref looks) > 6 ? well(context) : FailAsync(context, trouble));
        var source = new DetectedCloud(null, server.Address, new HastyClock(), _ => { });

        Assert.Equal("aws", Assert.IsType<MachineEvent.Leaves>(await FirstAsync(source)).Notice.Source);
    }

    [Fact]
    public async Task Machine_without_a_cloud_is_told_so_and_no_longer_asks()
    {
        List<string> said = [];
        var source = new DetectedCloud(null, new Uri("http://127.0.0.1:1/"), new HastyClock(), said.Add);

        await foreach (var heard in source.WatchAsync(Cancel)) Assert.Fail($"{heard}");

        Assert.Contains("--cloud", Assert.Single(said), StringComparison.Ordinal);
    }

    /// <summary>A service that tells at once that the machine goes.</summary>
    private static RequestDelegate Cloud(string cloud)
    {
        var aws = new FakeAws { Action = """{"action": "terminate", "time": "2026-01-02T03:06:05Z"}""" };
        var azure = new FakeAzure { Events = [FakeAzure.Event("alone", "Preempt", "", FakeAzure.Machine)] };
        var gcp = new FakeGcp();
        gcp.Change("TRUE");
        return cloud switch
        {
            "aws" => aws.AnswerAsync,
            "azure" => azure.AnswerAsync,
            _ => gcp.AnswerAsync,
        };
    }

    private static async Task FailAsync(HttpContext context, string trouble)
    {
        switch (trouble)
        {
            case "hangs":
                await new TaskCompletionSource().Task.WaitAsync(context.RequestAborted)
                    .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                break;
            case "breaks off":
                context.Abort();
                break;
            case "says nonsense":
                await context.Response.WriteAsync("<html>\0</html>");
                break;
            default:
                context.Response.StatusCode = int.Parse(trouble, System.Globalization.CultureInfo.InvariantCulture);
                context.Response.Headers.RetryAfter = "3600";
                break;
        }
    }

    private static async Task<MachineEvent> FirstAsync(DetectedCloud source)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        limit.CancelAfter(Waits.Max);
        await foreach (var said in source.WatchAsync(limit.Token)) return said;
        throw new InvalidOperationException("the source ended");
    }

    /// <summary>Its pauses are over at once, and count as the time that they should have taken. Limits of answers are a
    /// tenth: one that a busy machine overruns is asked again.</summary>
    private sealed class HastyClock : TimeProvider
    {
        private long _ahead;

        public override DateTimeOffset GetUtcNow() =>
            base.GetUtcNow() + TimeSpan.FromTicks(Interlocked.Read(ref _ahead));

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var isLimit = period == Timeout.InfiniteTimeSpan;
            if (!isLimit) Interlocked.Add(ref _ahead, dueTime.Ticks);
            return System.CreateTimer(callback, state, isLimit ? dueTime / 10 : TimeSpan.Zero, period);
        }
    }
}
