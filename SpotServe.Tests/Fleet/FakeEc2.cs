using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace SpotServe.Tests.Fleet;

/// <summary>An HTTP server that answers the five actions of EC2's query protocol that the fleet uses, as documented:
/// forms in, XML out.</summary>
internal sealed class FakeEc2 : IAsyncDisposable
{
    private const string Space = "http://ec2.amazonaws.com/doc/2016-11-15/";
    private readonly WebApplication _app;
    private int _launched;

    private FakeEc2(WebApplication app) => _app = app;

    /// <summary>By ClientToken: the form that it was launched with.</summary>
    public ConcurrentDictionary<string, Launched> Instances { get; } = new();

    /// <summary>Calls in order, by their Action.</summary>
    public ConcurrentQueue<string> Calls { get; } = new();

    /// <summary>Answers that come before any other, once each.</summary>
    public ConcurrentQueue<(int Status, string Code)> Failures { get; } = new();

    /// <summary>Market and zone ("spot us-east-1a") that have no capacity.</summary>
    public ConcurrentDictionary<string, bool> Empty { get; } = new();

    /// <summary>Instances on one page of a list.</summary>
    public int PageSize { get; set; } = 100;

    public string Url => _app.Urls.First();

    public static async Task<FakeEc2> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var app = builder.Build();
        var ec2 = new FakeEc2(app);
        app.MapPost("/", ec2.AnswerAsync);
        await app.StartAsync();
        return ec2;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task AnswerAsync(HttpContext http)
    {
        var sent = await http.Request.ReadFormAsync();
        var form = sent.ToDictionary(field => field.Key, field => field.Value.ToString());
        var action = form["Action"];
        Calls.Enqueue(action);
        http.Response.ContentType = "text/xml;charset=UTF-8";
        if (Failures.TryDequeue(out var failure))
        {
            await FailAsync(http, failure.Status, failure.Code);
            return;
        }

        switch (action)
        {
            case "RunInstances":
                await LaunchAsync(http, form);
                break;
            case "CreateFleet":
                await CreateFleetAsync(http, form);
                break;
            case "TerminateInstances":
                await TerminateAsync(http, form["InstanceId.1"]);
                break;
            case "DescribeInstances":
                await ListAsync(http, form);
                break;
            case "DescribeSpotPriceHistory":
                await WriteAsync(http, action, $"<spotPriceHistorySet>{Price("us-east-1a", "0.16", "10:00")}"
                    + $"{Price("us-east-1a", "0.17", "11:00")}{Price("us-east-1b", "0.21", "11:00")}"
                    + "</spotPriceHistorySet>");
                break;
            default:
                await FailAsync(http, 400, "InvalidAction");
                break;
        }
    }

    private Task LaunchAsync(HttpContext http, Dictionary<string, string> form)
    {
        var isSpot = form.GetValueOrDefault("InstanceMarketOptions.MarketType") == "spot";
        var zone = ZoneOf(form["SubnetId"]);
        var token = form["ClientToken"];
        if (!Instances.ContainsKey(token) && Empty.ContainsKey($"{(isSpot ? "spot" : "on-demand")} {zone}"))
            return FailAsync(http, 500, "InsufficientInstanceCapacity");
        var instance = Instances.GetOrAdd(token, _ => new Launched(
            $"i-{Interlocked.Increment(ref _launched):x17}", zone, isSpot, form));
        return WriteAsync(
            http, "RunInstances", $"<reservationId>r-1</reservationId><instancesSet>{Item(instance)}</instancesSet>");
    }

    /// <summary>Takes the last of the named pools that has capacity, as if that were the deepest.</summary>
    private Task CreateFleetAsync(HttpContext http, Dictionary<string, string> form)
    {
        const string Override = "LaunchTemplateConfigs.1.Overrides.";
        var pools = form.Keys.Count(key => key.StartsWith(Override, StringComparison.Ordinal)
            && key.EndsWith(".InstanceType", StringComparison.Ordinal));
        var there = Enumerable.Range(1, pools).Reverse()
            .Select(number => (Type: form[$"{Override}{number}.InstanceType"], Zone: ZoneOf(
                form[$"{Override}{number}.SubnetId"])))
            .Where(pool => !Empty.ContainsKey($"spot {pool.Zone}")).ToArray();
        var token = form["ClientToken"];
        if (there.Length == 0)
        {
            const string Error = "<errorCode>InsufficientInstanceCapacity</errorCode>"
                + "<errorMessage>none left</errorMessage>";
            var errors = string.Concat(Enumerable.Repeat($"<item>{Error}</item>", pools));
            return WriteAsync(http, "CreateFleet", $"<fleetId>fleet-1</fleetId><errorSet>{errors}</errorSet>");
        }

        var instance = Instances.GetOrAdd(token, _ => new Launched(
            $"i-{Interlocked.Increment(ref _launched):x17}", there[0].Zone, IsSpot: true,
            new(form) { ["InstanceType"] = there[0].Type }));
        return WriteAsync(
            http, "CreateFleet",
            "<fleetId>fleet-1</fleetId><errorSet/><fleetInstanceSet><item><launchTemplateAndOverrides><overrides>"
            + $"<subnetId>{SubnetOf(instance.Zone)}</subnetId></overrides></launchTemplateAndOverrides>"
            + $"<lifecycle>spot</lifecycle><instanceIds><item>{instance.Id}</item></instanceIds>"
            + $"<instanceType>{instance.Form["InstanceType"]}</instanceType></item></fleetInstanceSet>");
    }

    private static string ZoneOf(string subnet) => subnet.Replace("subnet-", "us-east-1", StringComparison.Ordinal);

    private static string SubnetOf(string zone) => zone.Replace("us-east-1", "subnet-", StringComparison.Ordinal);

    private Task TerminateAsync(HttpContext http, string id)
    {
        var there = Instances.Values.FirstOrDefault(instance => instance.Id == id);
        if (there is null) return FailAsync(http, 400, "InvalidInstanceID.NotFound");
        there.State = "shutting-down";
        return WriteAsync(
            http, "TerminateInstances", $"<instancesSet><item><instanceId>{id}</instanceId></item></instancesSet>");
    }

    private Task ListAsync(HttpContext http, Dictionary<string, string> form)
    {
        var cluster = form.Single(field => field.Value == "tag:spotserve:cluster").Key.Replace(
            "Name", "Value.1", StringComparison.Ordinal);
        var from = int.Parse(form.GetValueOrDefault("NextToken", "0"), CultureInfo.InvariantCulture);
        var all = Instances.Values.Where(instance => instance.Tag("spotserve:cluster") == form[cluster])
            .OrderBy(instance => instance.Id, StringComparer.Ordinal).ToArray();
        var items = string.Concat(all.Skip(from).Take(PageSize).Select(Item));
        var next = from + PageSize < all.Length ? $"<nextToken>{from + PageSize}</nextToken>" : "";
        return WriteAsync(
            http, "DescribeInstances",
            $"<reservationSet><item><reservationId>r-1</reservationId><instancesSet>{items}</instancesSet></item>"
            + $"</reservationSet>{next}");
    }

    private static string Item(Launched one) =>
        $"<item><instanceId>{one.Id}</instanceId><instanceState><code>0</code><name>{one.State}</name></instanceState>"
        + $"<instanceType>{one.Form["InstanceType"]}</instanceType>"
        + $"<placement><availabilityZone>{one.Zone}</availabilityZone></placement>"
        + "<privateIpAddress>10.0.0.7</privateIpAddress>"
        + (one.IsSpot ? "<instanceLifecycle>spot</instanceLifecycle>" : "")
        + $"<tagSet>{string.Concat(one.Tags.Select(Tag))}</tagSet></item>";

    private static string Tag(KeyValuePair<string, string> tag) =>
        $"<item><key>{tag.Key}</key><value>{tag.Value}</value></item>";

    private static string Price(string zone, string price, string time) =>
        "<item><instanceType>g4dn.xlarge</instanceType><productDescription>Linux/UNIX</productDescription>"
        + $"<spotPrice>{price}</spotPrice><timestamp>2026-11-26T{time}:00.000Z</timestamp>"
        + $"<availabilityZone>{zone}</availabilityZone></item>";

    private static Task WriteAsync(HttpContext http, string action, string content) => http.Response.WriteAsync(
        $"<?xml version=\"1.0\"?><{action}Response xmlns=\"{Space}\"><requestId>1</requestId>{content}"
        + $"</{action}Response>");

    private static Task FailAsync(HttpContext http, int status, string code)
    {
        http.Response.StatusCode = status;
        return http.Response.WriteAsync(
            $"<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>said so</Message></Error>"
            + "</Errors><RequestID>1</RequestID></Response>");
    }

    internal sealed record Launched(string Id, string Zone, bool IsSpot, Dictionary<string, string> Form)
    {
        public string State { get; set; } = "pending";

        public IEnumerable<KeyValuePair<string, string>> Tags => Form
            .Where(sent => sent.Key.StartsWith("TagSpecification.1.Tag.", StringComparison.Ordinal)
                && sent.Key.EndsWith(".Key", StringComparison.Ordinal))
            .Select(sent => KeyValuePair.Create(
                sent.Value, Form[sent.Key.Replace(".Key", ".Value", StringComparison.Ordinal)]));

        public string? Tag(string name) => Tags.FirstOrDefault(tag => tag.Key == name).Value;
    }
}
