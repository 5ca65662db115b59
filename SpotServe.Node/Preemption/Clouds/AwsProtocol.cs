using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using SpotServe.Actors.Cluster;

namespace SpotServe.Node.Preemption.Clouds;

/// <summary>
/// EC2's instance metadata service, version 2 (session tokens). A spot instance's end is in spot/instance-action, two
/// minutes before; before that, a rebalance recommendation may say that the end has become likely.
/// </summary>
/// <remarks>Source: Amazon EC2 User Guide, "Spot Instance interruption notices", "EC2 instance rebalance
/// recommendations", "Use IMDSv2".</remarks>
internal sealed class AwsProtocol(MetadataService service, TimeProvider clock) : ICloudProtocol
{
    private const string TokenPath = "latest/api/token";
    private const string ActionPath = "latest/meta-data/spot/instance-action";
    private const string RebalancePath = "latest/meta-data/events/recommendations/rebalance";
    private const string TokenHeader = "X-aws-ec2-metadata-token";
    private const string TokenSecondsHeader = "X-aws-ec2-metadata-token-ttl-seconds";

    /// <summary>The most that the service gives a token.</summary>
    private static readonly TimeSpan TokenAge = TimeSpan.FromHours(6);

    private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(2);

    /// <summary>What EC2 gives an instance from the notice to its end.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromMinutes(2);

    private string? _token;
    private DateTimeOffset _tokenEnds;
    private DateTimeOffset? _unclearSince;

    public string Name => "aws";

    public TimeSpan Period => TimeSpan.FromSeconds(1);

    /// <summary>Whether EC2's metadata service is there.</summary>
    public static async Task<bool> AnswersAsync(MetadataService service, TimeSpan most, CancellationToken cancel)
    {
        var answer = await service.AskAsync(TokenQuestion(), most, cancel).ConfigureAwait(false);
        return answer.Status == HttpStatusCode.OK && IsToken(answer.Body);
    }

    /// <summary>The end comes first: a hint that cannot be read hides no notice, and beside a notice it says
    /// nothing.</summary>
    public async Task<ImmutableArray<MachineEvent>> AskAsync(CancellationToken cancel)
    {
        if (await ReadAsync(ActionPath, cancel).ConfigureAwait(false) is { } action) return [Leaves(action)];
        return await ReadAsync(RebalancePath, cancel).ConfigureAwait(false) is { } advice ? [MayLeave(advice)] : [];
    }

    private static HttpRequestMessage TokenQuestion()
    {
        var question = new HttpRequestMessage(HttpMethod.Put, TokenPath);
        question.Headers.Add(TokenSecondsHeader, $"{TokenAge.TotalSeconds:0}");
        return question;
    }

    /// <summary>Printable and not long, as header values have to be.</summary>
    private static bool IsToken(string text) =>
        text.Length is > 0 and <= 1024 && text.All(c => c is > ' ' and < '\x7f');

    /// <summary>Null when the service has nothing to say at that path (404).</summary>
    private async Task<MetadataAnswer?> ReadAsync(string path, CancellationToken cancel)
    {
        for (var isRetry = false; ; isRetry = true)
        {
            using var question = new HttpRequestMessage(HttpMethod.Get, path);
            question.Headers.Add(TokenHeader, await TokenAsync(cancel).ConfigureAwait(false));
            var answer = await service.AskAsync(question, AnswerMax, cancel).ConfigureAwait(false);
            if (answer.Status == HttpStatusCode.NotFound) return null;
            if (answer.Status != HttpStatusCode.Unauthorized || isRetry) return answer.Succeeded();
            _token = null;   // It ended early: the service was started anew, or the instance was moved.
        }
    }

    private async Task<string> TokenAsync(CancellationToken cancel)
    {
        if (_token is not null && clock.GetUtcNow() < _tokenEnds) return _token;
        using var question = TokenQuestion();
        var answer = (await service.AskAsync(question, AnswerMax, cancel).ConfigureAwait(false)).Succeeded();
        if (!IsToken(answer.Body)) throw new MetadataException("its session token is no token");
        _tokenEnds = clock.GetUtcNow() + (TokenAge / 2);
        return _token = answer.Body;
    }

    /// <summary>An action is one even if its time cannot be read: then it is two minutes from when it was first
    /// seen.</summary>
    private MachineEvent.Leaves Leaves(MetadataAnswer answer)
    {
        var body = CloudJson.Object(answer.Body, "spot/instance-action");
        if (!body.TryGetProperty("action", out var action) || action.ValueKind != JsonValueKind.String)
            throw new MetadataException("spot/instance-action names no action");
        if (CloudJson.Time(body, "time") is { } time)
            return new MachineEvent.Leaves(new PreemptionNotice(time - answer.ClockAhead, Name));
        _unclearSince ??= clock.GetUtcNow();
        return new MachineEvent.Leaves(new PreemptionNotice(_unclearSince.Value + Grace, Name));
    }

    private MachineEvent.MayLeave MayLeave(MetadataAnswer answer)
    {
        var since = CloudJson.Time(CloudJson.Object(answer.Body, "recommendations/rebalance"), "noticeTime");
        return new MachineEvent.MayLeave(
            Name, since is { } time ? $"rebalance recommendation of {time:u}" : "rebalance recommendation");
    }
}
