namespace SpotServe.Node.Preemption.Clouds;

/// <summary>Which cloud's metadata service a node listens to.</summary>
internal enum CloudKind
{
    /// <summary>None: there is no cloud, or it is not to be asked.</summary>
    None,

    Aws,
    Azure,
    Gcp,
}

/// <summary>Finds out whose machine this is by asking each cloud's metadata service; all clouds at once.</summary>
internal static class CloudDetection
{
    /// <summary>Limit for an answer: the service is on the machine's own host.</summary>
    private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(2);

    /// <summary>Where the clouds' services answer: the two addresses are fixed by the clouds.</summary>
    public static Uri DefaultAddress(CloudKind cloud) => cloud == CloudKind.Gcp
        ? new Uri("http://metadata.google.internal/")
        : new Uri("http://169.254.169.254/");

    /// <summary>The cloud whose service answers as only it does; None when none does in time. Never fails.</summary>
    /// <param name="address">Asked instead of the clouds' own addresses; null: theirs.</param>
    public static async Task<CloudKind> FindAsync(Uri? address, TimeProvider clock, CancellationToken cancel)
    {
        var answers = await Task.WhenAll(
            ((CloudKind[])[CloudKind.Aws, CloudKind.Azure, CloudKind.Gcp])
                .Select(cloud => IsThereAsync(cloud, address ?? DefaultAddress(cloud), clock, cancel)))
            .ConfigureAwait(false);
        return answers.FirstOrDefault(cloud => cloud != CloudKind.None);
    }

    /// <summary>The reader of a cloud's notices.</summary>
    public static ICloudProtocol ProtocolOf(CloudKind cloud, MetadataService service, TimeProvider clock) =>
        cloud switch
        {
            CloudKind.Aws => new AwsProtocol(service, clock),
            CloudKind.Azure => new AzureProtocol(service, clock),
            CloudKind.Gcp => new GcpProtocol(service, clock),
            _ => throw new ArgumentOutOfRangeException(nameof(cloud), cloud, "It has no metadata service."),
        };

    private static async Task<CloudKind> IsThereAsync(
        CloudKind cloud, Uri address, TimeProvider clock, CancellationToken cancel)
    {
        using var service = new MetadataService(address, clock);
        try
        {
            var answers = cloud switch
            {
                CloudKind.Aws => AwsProtocol.AnswersAsync(service, AnswerMax, cancel),
                CloudKind.Azure => AzureProtocol.AnswersAsync(service, AnswerMax, cancel),
                _ => GcpProtocol.AnswersAsync(service, AnswerMax, cancel),
            };
            return await answers.ConfigureAwait(false) ? cloud : CloudKind.None;
        }
        catch (Exception error) when (error is HttpRequestException or TimeoutException)
        {
            return CloudKind.None;
        }
    }
}
