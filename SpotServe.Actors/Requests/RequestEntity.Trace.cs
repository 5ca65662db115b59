using System.Diagnostics;
using SpotServe.Actors.Tracing;

namespace SpotServe.Actors.Requests;

/// <summary>The span of this entity's life with an open request. One that comes after it, on another control node,
/// has its own in the same trace.</summary>
internal sealed partial class RequestEntity
{
    private Activity? _span;

    protected override void PostStop()
    {
        Traces.End(_span, "the entity stopped before the request ended");
        _span = null;
        base.PostStop();
    }

    private void BeginSpan(GenerationSpec spec)
    {
        _span = Traces.Begin("entity", spec.TraceParent);
        _span?.SetTag("spotserve.request", _id.Value);
        _span?.SetTag("spotserve.tokens_before", _state.Tokens.Count);
    }

    private void EndSpan()
    {
        if (_span is null) return;
        var finished = _state.Finished!;
        _span.SetTag("spotserve.prompt_tokens", _state.Accepted!.Spec.Prompt.Length);
        _span.SetTag("spotserve.tokens", _state.Tokens.Count);
        _span.SetTag("spotserve.finish_reason", RequestMetrics.NameOf(finished.Reason));
        Traces.End(_span, finished.Error);
        _span = null;
    }
}
