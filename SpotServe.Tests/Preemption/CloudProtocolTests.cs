using System.Collections.Immutable;
using CsCheck;
using Microsoft.AspNetCore.Http;
using SpotServe.Node.Preemption;
using SpotServe.Node.Preemption.Clouds;
using Xunit;

namespace SpotServe.Tests.Preemption;

/// <summary>What each cloud's metadata service says is understood, and nothing else is taken for a notice.</summary>
public sealed class CloudProtocolTests
{
    private static readonly TimeSpan SecondsOfClock = TimeSpan.FromSeconds(3);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Aws_tells_the_end_in_its_own_time_and_asks_for_a_new_token_when_the_old_one_is_refused()
    {
        var cloud = new FakeAws();
        await using var server = await MetadataServer.StartAsync(cloud.AnswerAsync);
        using var service = new MetadataService(server.Address, TimeProvider.System);
        var protocol = new AwsProtocol(service, TimeProvider.System);

        var before = await protocol.AskAsync(Cancel);
        cloud.ForgetTokens();
        // The cloud's clock is an hour ahead.
        cloud.Date = DateTimeOffset.UtcNow.AddHours(1);
        var end = cloud.Date.Value.AddMinutes(2);
        cloud.Action = $$"""{"action": "terminate", "time": "{{end:yyyy-MM-ddTHH:mm:ssZ}}"}""";
        var after = await protocol.AskAsync(Cancel);

        Assert.Empty(before);
        var notice = Assert.IsType<MachineEvent.Leaves>(Assert.Single(after)).Notice;
        Assert.Equal("aws", notice.Source);
        AssertNear(DateTimeOffset.UtcNow.AddMinutes(2), notice.Deadline);
    }

    [Theory]
    [InlineData("""{"action": "stop", "time": "soon"}""")]
    [InlineData("""{"action": "hibernate"}""")]
    [InlineData("""{"action": "terminate", "time": "\ud800"}""")]
    public async Task Aws_action_without_a_time_that_can_be_read_is_two_minutes_from_when_it_was_first_seen(string body)
    {
        var cloud = new FakeAws { Action = body };
        await using var server = await MetadataServer.StartAsync(cloud.AnswerAsync);
        using var service = new MetadataService(server.Address, TimeProvider.System);
        var protocol = new AwsProtocol(service, TimeProvider.System);

        var first = await protocol.AskAsync(Cancel);
        var second = await protocol.AskAsync(Cancel);

        Assert.Equal(first, second);
        AssertNear(
            DateTimeOffset.UtcNow.AddMinutes(2), Assert.IsType<MachineEvent.Leaves>(first.Single()).Notice.Deadline);
    }

    [Theory]
    [InlineData(200)]
    [InlineData(500)]
    public async Task Aws_rebalance_recommendation_is_a_hint_and_hides_no_notice_whatever_it_answers(int status)
    {
        var cloud = new FakeAws { Rebalance = """{"noticeTime": "2026-01-02T03:04:05Z"}""" };
        await using var server = await MetadataServer.StartAsync(cloud.AnswerAsync);
        using var service = new MetadataService(server.Address, TimeProvider.System);
        var protocol = new AwsProtocol(service, TimeProvider.System);

        var hint = await protocol.AskAsync(Cancel);
        cloud.RebalanceStatus = status;
        cloud.Action = """{"action": "terminate", "time": "2026-01-02T03:06:05Z"}""";
        var end = await protocol.AskAsync(Cancel);

        Assert.Contains("2026-01-02 03:04:05", Assert.IsType<MachineEvent.MayLeave>(hint.Single()).Reason,
            StringComparison.Ordinal);
        Assert.IsType<MachineEvent.Leaves>(Assert.Single(end));
    }

    [Fact]
    public async Task Azure_events_count_when_they_name_this_machine_and_end_what_runs()
    {
        var soon = DateTimeOffset.UtcNow.AddSeconds(30);
        var cloud = new FakeAzure
        {
            Events =
            [
                FakeAzure.Event("a", "Preempt", soon.AddSeconds(-20).ToString("R"), "gpu-1"),
                FakeAzure.Event("b", "Freeze", soon.ToString("R"), "GPU-17"),
                FakeAzure.Event("c", "Preempt", soon.ToString("R"), "gpu-1", "GPU-17"),
                FakeAzure.Event("d", "SomethingNew", soon.ToString("R"), "gpu-17"),
            ],
        };
        await using var server = await MetadataServer.StartAsync(cloud.AnswerAsync);
        using var service = new MetadataService(server.Address, TimeProvider.System);
        var protocol = new AzureProtocol(service, TimeProvider.System);

        var said = await protocol.AskAsync(Cancel);

        Assert.Equal(2, said.Length);
        Assert.IsType<MachineEvent.MayLeave>(said[0]);
        AssertNear(soon, Assert.IsType<MachineEvent.Leaves>(said[1]).Notice.Deadline);
    }

    [Fact]
    public async Task Azure_is_told_to_go_ahead_with_events_of_this_machine_alone()
    {
        var cloud = new FakeAzure
        {
            Events =
            [
                FakeAzure.Event("others too", "Preempt", DateTimeOffset.UtcNow.ToString("R"), "gpu-1", "gpu-17"),
                FakeAzure.Event("alone", "Preempt", "", "gpu-17"),
                FakeAzure.Event("pause", "Freeze", DateTimeOffset.UtcNow.ToString("R"), "gpu-17"),
            ],
        };
        await using var server = await MetadataServer.StartAsync(cloud.AnswerAsync);
        using var service = new MetadataService(server.Address, TimeProvider.System);
        var protocol = new AzureProtocol(service, TimeProvider.System);

        var said = await protocol.AskAsync(Cancel);
        await protocol.AcknowledgeAsync(Cancel);

        // Without a time it has begun.
        AssertNear(DateTimeOffset.UtcNow, Assert.IsType<MachineEvent.Leaves>(said[1]).Notice.Deadline);
        Assert.Equal(["alone"], cloud.Started);
    }

    [Fact]
    public async Task Gcp_preemption_is_heard_while_the_question_is_held_back_and_is_half_a_minute_before_the_end()
    {
        var cloud = new FakeGcp();
        await using var server = await MetadataServer.StartAsync(cloud.AnswerAsync);
        using var service = new MetadataService(server.Address, TimeProvider.System);
        var protocol = new GcpProtocol(service, TimeProvider.System);

        var first = await protocol.AskAsync(Cancel);
        var held = protocol.AskAsync(Cancel);
        await cloud.Held.WaitAsync(Cancel);
        cloud.Change("TRUE");
        var said = await held;

        Assert.Empty(first);
        AssertNear(
            DateTimeOffset.UtcNow.AddSeconds(30),
            Assert.IsType<MachineEvent.Leaves>(Assert.Single(said)).Notice.Deadline);
    }

    [Fact]
    public async Task Gcp_maintenance_that_ends_the_machine_is_a_hint()
    {
        var cloud = new FakeGcp { Maintenance = "TERMINATE_ON_HOST_MAINTENANCE" };
        await using var server = await MetadataServer.StartAsync(cloud.AnswerAsync);
        using var service = new MetadataService(server.Address, TimeProvider.System);
        var protocol = new GcpProtocol(service, TimeProvider.System);

        var said = await protocol.AskAsync(Cancel);
        while (said.IsEmpty) said = await HeldBackAsync(protocol, cloud, "FALSE");

        Assert.IsType<MachineEvent.MayLeave>(Assert.Single(said));
    }

    [Fact]
    public async Task Gcp_preemption_is_heard_while_the_question_about_maintenance_hangs()
    {
        var hangs = new TaskCompletionSource();
        var cloud = new FakeGcp { MaintenanceHeld = hangs.Task };
        await using var server = await MetadataServer.StartAsync(cloud.AnswerAsync);
        using var service = new MetadataService(server.Address, TimeProvider.System);
        var protocol = new GcpProtocol(service, TimeProvider.System);

        await protocol.AskAsync(Cancel);
        Assert.Empty(await HeldBackAsync(protocol, cloud, "FALSE"));
        Assert.IsType<MachineEvent.Leaves>(Assert.Single(await HeldBackAsync(protocol, cloud, "TRUE")));
        hangs.SetResult();
    }

    [Fact]
    public async Task Gcp_server_that_cannot_hold_its_answer_back_is_an_error_and_not_asked_in_a_circle()
    {
        var cloud = new FakeGcp { HasTags = false };
        await using var server = await MetadataServer.StartAsync(cloud.AnswerAsync);
        using var service = new MetadataService(server.Address, TimeProvider.System);

        await Assert.ThrowsAsync<MetadataException>(
            () => new GcpProtocol(service, TimeProvider.System).AskAsync(Cancel));
    }

    [Fact]
    public async Task Each_cloud_is_told_by_how_it_answers_and_another_server_is_none()
    {
        Assert.Equal(CloudKind.Aws, await FoundAsync(new FakeAws().AnswerAsync));
        Assert.Equal(CloudKind.Azure, await FoundAsync(new FakeAzure().AnswerAsync));
        Assert.Equal(CloudKind.Gcp, await FoundAsync(new FakeGcp().AnswerAsync));
        Assert.Equal(CloudKind.None, await FoundAsync(context => context.Response.WriteAsync("<html>sign in</html>")));
        var nobody = new Uri("http://127.0.0.1:1/");
        Assert.Equal(CloudKind.None, await CloudDetection.FindAsync(nobody, TimeProvider.System, Cancel));
    }

    [Fact]
    public async Task Answer_of_any_bytes_and_status_is_no_notice_and_no_other_error_than_those_that_are_asked_again()
    {
        (int Status, byte[] Body, string? Header) made = (200, [], null);
        await using var server = await MetadataServer.StartAsync(async context =>
        {
            // AWS's token is right, so that what comes after it is reached.
            if (context.Request.Path == "/latest/api/token")
            {
                await context.Response.WriteAsync("token");
                return;
            }

            context.Response.StatusCode = made.Status;
            context.Response.Headers.ContentType = "text/plain; charset=nonsense";
            context.Response.Headers["Metadata-Flavor"] = "Google";
            if (made.Header is not null) context.Response.Headers["ETag"] = made.Header;
            if (made.Status is not (204 or 304)) await context.Response.Body.WriteAsync(made.Body);
        });
        using var service = new MetadataService(server.Address, TimeProvider.System);
        var bodies = Gen.OneOf(
            Gen.Byte.Array[0, 300],
            Gen.OneOfConst(
                "{}"u8.ToArray(), "[]"u8.ToArray(), "null"u8.ToArray(), "{\"Events\": [1, null, {}]}"u8.ToArray(),
                "{\"action\": 5}"u8.ToArray(), "{\"\\ud800\": 1, \"action\": \"stop\"}"u8.ToArray(),
                "{\"Events\": [{\"Resources\": [\"\\ud800\"], \"EventType\": \"\\udc00\"}]}"u8.ToArray(),
                "{\"Events\": [{\"Resources\": 3}]}"u8.ToArray(), "FALSE"u8.ToArray()));
        var statuses = Gen.OneOfConst(200, 200, 200, 204, 301, 400, 401, 429, 500, 503);
        var headers = Gen.OneOfConst(null, "x", "\"x\"", new string('x', 5000));
        var asked = 0;

        await Gen.Select(statuses, bodies, headers).SampleAsync(
            async one =>
            {
                made = one;
                foreach (var protocol in (ICloudProtocol[])
                    [
                        new AwsProtocol(service, TimeProvider.System), new AzureProtocol(service, TimeProvider.System),
                        new GcpProtocol(service, TimeProvider.System),
                    ])
                {
                    try
                    {
                        Assert.DoesNotContain(await protocol.AskAsync(Cancel), said => said is MachineEvent.Leaves);
                    }
                    catch (Exception error) when (
                        error is HttpRequestException or TimeoutException or MetadataException)
                    {
                        // Told once and asked again: CloudNotices.
                    }

                    Interlocked.Increment(ref asked);
                }
            },
            iter: 150,
            threads: 1);

        Assert.Equal(450, asked);
    }

    /// <summary>Asks, and changes the value once the answer is held back. "FALSE" is the value that it had, as when the
    /// server's time to hold it back is over.</summary>
    private static async Task<ImmutableArray<MachineEvent>> HeldBackAsync(
        GcpProtocol protocol, FakeGcp cloud, string preempted)
    {
        var held = protocol.AskAsync(Cancel);
        await cloud.Held.WaitAsync(Cancel);
        cloud.Change(preempted);
        return await held;
    }

    private static async Task<CloudKind> FoundAsync(RequestDelegate answer)
    {
        await using var server = await MetadataServer.StartAsync(answer);
        return await CloudDetection.FindAsync(server.Address, TimeProvider.System, Cancel);
    }

    private static void AssertNear(DateTimeOffset expected, DateTimeOffset actual) =>
        Assert.InRange(actual, expected - SecondsOfClock, expected + SecondsOfClock);
}
