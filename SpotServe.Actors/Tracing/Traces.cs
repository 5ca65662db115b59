using System.Diagnostics;

namespace SpotServe.Actors.Tracing;

/// <summary>
/// Spans of the requests' traces. A trace begins with an HTTP request, or comes with it (W3C traceparent); where it is
/// recorded, the request's spec carries it to all that the request ever meets, through the journal too, so that the
/// spans of every entity and replica of a request are one trace. Where nobody listens no span is made. Thread-safe.
/// </summary>
public static class Traces
{
    /// <summary>Listeners find the spans by it.</summary>
    public const string SourceName = "SpotServe";

    private static readonly ActivitySource Source = new(SourceName);

    /// <summary>What a spec made now is given as its parent: the span under way where it is recorded, else
    /// null.</summary>
    public static string? Current =>
        Activity.Current is { Recorded: true, IdFormat: ActivityIdFormat.W3C } span ? span.Id : null;

    /// <summary>Begins a span of an actor: unlike that of a call it is not what runs on this thread.</summary>
    /// <param name="parent">Of a spec; null for a request without a trace.</param>
    /// <returns>Null where nobody wants it. To be given to <see cref="End"/>.</returns>
    public static Activity? Begin(string name, string? parent)
    {
        if (parent is null || !ActivityContext.TryParse(parent, null, isRemote: true, out var context)) return null;
        var running = Activity.Current;
        var span = Source.StartActivity(name, ActivityKind.Internal, context);
        Activity.Current = running;
        return span;
    }

    /// <summary>Ends a span.</summary>
    /// <param name="error">Why it failed; null where it did not.</param>
    public static void End(Activity? span, string? error = null)
    {
        if (span is null) return;
        if (error is not null) span.SetStatus(ActivityStatusCode.Error, error);
        var running = Activity.Current;
        span.Dispose();
        Activity.Current = running;
    }

    /// <summary>Begins the span of a call that a client makes, on the thread and in what it calls.</summary>
    /// <param name="parent">The client's; null where it sent none, or none that can be read.</param>
    /// <returns>Null where nobody wants it. Its owner disposes of it.</returns>
    public static Activity? BeginCall(string name, string? parent)
    {
        // A web server has a span of its own under way, which nobody here exports.
        if (!Source.HasListeners()) return null;
        var isKnown = ActivityContext.TryParse(parent, null, isRemote: true, out var context);
        Activity.Current = null;
        return isKnown
            ? Source.StartActivity(name, ActivityKind.Server, context)
            : Source.StartActivity(name, ActivityKind.Server);
    }
}
