using SpotServe.Tests.Gateway;
using SpotServe.Tests.Persistence;
using SpotServe.Tests.Requests;

namespace SpotServe.Tests.Mutations;

/// <summary>Bugs of request entities, gateways and the journal.</summary>
internal static class RequestMutations
{
    private const string Requests = "SpotServe.Actors/Requests/";
    private const string Gateway = "SpotServe.Actors/Gateway/GatewayActor.cs";
    private const string Admission = "SpotServe.Actors/Gateway/GatewayActor.Admission.cs";
    private const string Journal = "SpotServe.Actors/Persistence/";

    public static Mutation[] All => [.. Entity, .. OfGateway, .. OfJournal];

    private static Mutation[] Entity =>
    [
        new("entity: tokens are shown before they are in the journal", Requests + "RequestEntity.cs",
            """
                    PersistAllAsync(batch, happened =>
                    {
                        _state.Apply(happened);
            """,
            """
                    foreach (var early in batch) _state.Apply(early);
                    ShowToAll();
                    PersistAllAsync(batch, happened =>
                    {
            """,
            Killer.Of<RequestCommitTests>(), Killer.Seeds(1, 3)),
        new("entity: a request is accepted before it is in the journal", Requests + "RequestEntity.cs",
            """
                    Persist(accepted, happened =>
                    {
                        _state.Apply(happened);
                        _meter.OnWritten(happened, _state);
                        // In this order, so that a gateway that both concern counts the request without a gap.
                        BecomeOpen();
                        replyTo.Tell(new Accepted(_id, accepted.At));
            """,
            """
                    replyTo.Tell(new Accepted(_id, accepted.At));
                    Persist(accepted, happened =>
                    {
                        _state.Apply(happened);
                        _meter.OnWritten(happened, _state);
                        BecomeOpen();
            """,
            Killer.Of<RequestCommitTests>()),
        new("entity: tokens that come twice count twice", Requests + "RequestState.cs",
            "var fresh = tokens.AsSpan()[known..];",
            "var fresh = tokens.AsSpan();",
            Killer.Of<RequestEntityTests>()),
        new("entity: a gap in the tokens is not asked for again", Requests + "RequestEntity.cs",
            "if (generated.FirstIndex > _intake.NextIndex)",
            "if (generated.FirstIndex > _intake.NextIndex + 1_000)",
            Killer.Of<RequestEntityTests>()),
        new("entity: tokens of an older epoch count", Requests + "RequestEntity.cs",
            "if (_route is null || _ending is not null || generated.Epoch < _route.Epoch) return false;",
            "if (_route is null || _ending is not null) return false; if (generated.Epoch < _route.Epoch) return true;",
            Killer.Of<RequestEntityTests>()),
        new("entity: an ended request is kept anew each time it is woken", Requests + "RequestEntity.cs",
            "var left = _state.Finished!.At + _options.Retention - _clock.GetUtcNow();",
            "var left = _options.Retention;",
            Killer.Of<RequestEntityTests>()),
        new("entity: a handed-over request is sent back by an old route", Requests + "RequestEntity.cs",
            "if (_ending is not null || (_route is not null && route.Epoch < _route.Epoch)) return;",
            "if (_ending is not null) return;",
            Killer.Of<RequestCommitTests>(), Killer.Seeds(1, 100)),
        new("entity: a stop string is looked for from the last token on after a restart", Requests + "RequestEntity.cs",
            "        _stop.Take(0, [.. _state.Tokens]);\n",
            "        _stop.Take(0, []);\n",
            Killer.Of<RequestEntityTests>()),
    ];

    private static Mutation[] OfGateway =>
    [
        new("gateway: the view of a replaced planner counts", Gateway,
            "(view.Term < _view.Term || view.Epoch < _view.Epoch",
            "(view.Epoch < _view.Epoch",
            Killer.Of<GatewayActorTests>(), Killer.Of<ViewChangeTests>()),
        new("gateway: an older view of the same planner counts", Gateway,
            "|| (view.Term == _view.Term && view.Number < _view.Number)",
            "|| (view.Term == _view.Term && view.Number < 0 * _view.Number)",
            Killer.Of<ViewChangeTests>(), Killer.Of<GatewayActorTests>()),
        new("gateway: a change of a view that it does not have is taken", Gateway,
            "change.Term == known.Term && change.From == known.Number)",
            "change.Term == known.Term && change.From >= 0)",
            Killer.Of<ViewChangeTests>(), Killer.Of<GatewayActorTests>()),
        new("gateway: a request moves whenever replicas change", Gateway,
            "var there = entry.Epoch == _view.ServingEpoch\n",
            "var there = entry.Epoch > _view.ServingEpoch\n",
            Killer.Of<RoutingTests>()),
        new("entity: an entity that takes over gives new time", Requests + "RequestEntity.Deadline.cs",
            "var left = deadline - _clock.GetUtcNow();",
            "var left = deadline - _state.Accepted!.At;",
            Killer.Of<RequestDeadlineTests>()),
        new("gateway: requests that wait for the journal are not counted", Admission,
            "_open.Add(id, spec.Standing.Client, TokensOf(",
            "if (id.Value.Length == 0) _open.Add(id, spec.Standing.Client, TokensOf(",
            Killer.Of<GatewayActorTests>()),
        new("gateway: a client may have all there is", "SpotServe.Actors/Gateway/FairShare.cs",
            "its == 0 || its < Factor * (max - used)",
            "its == 0 || its <= used",
            Killer.Of<OpenLedgerTests>()),
        new("gateway: tokens go on waiting when their request has begun", "SpotServe.Actors/Gateway/OpenLedger.cs",
            "_entries[id] = entry with { Tokens = 0 };\n        Change(entry.Client, 0, -entry.Tokens);",
            "_entries[id] = entry with { Tokens = 0 };",
            Killer.Of<OpenLedgerTests>(), Killer.Of<GatewayActorTests>()),
        new("gateway: a stopped entity's route stays", Gateway,
            "            RemoveRoute(id);\n            return;\n",
            "            _log.Debug(\"{0}\", id);\n            return;\n",
            Killer.Of<GatewayActorTests>()),
    ];

    private static Mutation[] OfJournal =>
    [
        new("journal: ended requests are woken for ever", Journal + "RequestJournal.cs",
            "NOT LIKE 'request-finished.%'",
            "NOT LIKE 'request-ended.%'",
            Killer.Of<RequestJournalTests>()),
        new("journal: other actors' entries are taken for requests", Journal + "RequestJournal.cs",
            "AND substr(first.persistence_id, 1, @length) = @prefix",
            "AND substr(first.persistence_id, 1, 0 * @length) <> @prefix",
            Killer.Of<RequestJournalTests>()),
        new("journal: requests that ended just now are swept", Journal + "JournalSweeper.cs",
            "WHERE manifest LIKE 'request-finished.%' AND created < @before LIMIT @max",
            "WHERE manifest LIKE 'request-finished.%' AND created <> @before LIMIT @max",
            Killer.Of<RequestJournalTests>()),
        new("journal: a cancelled request comes back as failed", Journal + "StoredEvents.cs",
            "            \"cancelled\" => FinishReason.Cancelled,\n",
            "            \"cancelled\" => FinishReason.Failed,\n",
            Killer.Of<JournalSchemaTests>()),
        new("journal: the seed of a request is lost", Journal + "StoredSpec.cs",
            "new SamplingParameters(Temperature, TopP, TopK, Seed), TokenText.Read(StopTokens))\n        {",
            "new SamplingParameters(Temperature, TopP, TopK, 0), TokenText.Read(StopTokens))\n        {",
            Killer.Of<JournalSchemaTests>()),
    ];
}
