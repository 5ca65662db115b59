namespace SpotServe.Seed.Api;

/// <summary>The events of one streamed answer: which of them a piece of a choice becomes.</summary>
/// <param name="lastSeen">The last event that the client has; null for none.</param>
internal sealed class CompletionEvents(SseWriter events, Answer answer, int? lastSeen)
{
    private readonly int[] _tokens = new int[answer.Candidates.Length];
    private readonly int[] _chars = new int[answer.Candidates.Length];
    private readonly int[] _reused = new int[answer.Candidates.Length];
    private int _open = answer.Candidates.Length;

    /// <summary>Adds what comes before the first token.</summary>
    public void Begin()
    {
        if (lastSeen is not null) return;
        foreach (var choice in answer.Candidates)
        {
            answer.Form.AddStart(events, answer, choice);
            if (choice.Echo.Length == 0) continue;
            answer.Form.AddText(events, answer, new ChoiceDelta(choice.Index, choice.Echo, null, null, 0, null, null));
            _chars[choice.Index] = choice.Echo.Length;
        }
    }

    /// <summary>Adds what a piece says; true when it was the last one.</summary>
    public bool Add(OpenChoice choice, CompletionPiece piece)
    {
        switch (piece)
        {
            case CompletionPiece.Token token:
                _tokens[choice.Index] = token.Index + 1;
                if (lastSeen is not { } seen || token.Index > seen)
                    answer.Form.AddText(events, answer, Delta(choice, token.Text, null, token.Logprobs, token.Index));
                _chars[choice.Index] += token.Logprobs?.Text.Length ?? 0;
                return false;
            case CompletionPiece.End end:
                _tokens[choice.Index] = end.TokenCount;
                _reused[choice.Index] = end.ReusedTokens;
                if (lastSeen is not { } before || end.TokenCount > before)
                {
                    answer.Form.AddText(
                        events, answer, Delta(choice, end.Text, end.FinishReason, null, end.TokenCount));
                }

                if (--_open > 0) return false;
                if (answer.Usage.AtEnd)
                    answer.Form.AddUsage(events, answer, answer.UsageOf(_tokens.Sum(), _reused));
                events.AddDone();
                return true;
            case CompletionPiece.Broken broken:
                // The id of an end, as above: with it an EventSource that connects again gets 204.
                events.Add(
                    CompletionResponse.ErrorOf(choice.Id, broken).Body,
                    ApiJson.Plain.ErrorEnvelope,
                    answer.IsResumable ? broken.TokenCount : null,
                    name: "error");
                return true;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    private ChoiceDelta Delta(
        OpenChoice choice, string text, string? finish, TokenLogprobText? logprobs, int id) => new(
        choice.Index, text, finish, logprobs, _chars[choice.Index], answer.IsResumable ? id : null,
        answer.Usage.InEach ? answer.UsageOf(_tokens.Sum()) : null);
}
