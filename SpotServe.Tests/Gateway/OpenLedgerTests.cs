using CsCheck;
using SpotServe.Actors.Gateway;
using Xunit;

namespace SpotServe.Tests.Gateway;

/// <summary>The laws of the door, under random traffic of a few clients.</summary>
public sealed class OpenLedgerTests
{
    private enum Turn
    {
        Ask,
        Begin,
        End,
    }

    private sealed record Event(Turn Turn, int Client, int Tokens, int Which);

    private static readonly Gen<Event> GenEvent =
        from turn in Gen.Frequency(
            (6, Gen.Const(Turn.Ask)), (1, Gen.Const(Turn.Begin)), (2, Gen.Const(Turn.End)))
        from client in Gen.Int[0, 4]
        from tokens in Gen.Int[1, 60]
        from which in Gen.Int[0, 1_000]
        select new Event(turn, client, tokens, which);

    [Fact]
    public void Bounds_hold_counts_are_sums_and_a_client_with_nothing_open_is_kept_out_by_them_alone() =>
        Gen.Select(Gen.Int[1, 24], Gen.Int[40, 400], GenEvent.Array[1, 120]).Sample((requestsMax, tokensMax, events) =>
        {
            var ledger = new OpenLedger(requestsMax, tokensMax);
            var open = new List<(RequestId Id, int Client, int Tokens, bool Waits)>();
            foreach (var (turn, client, tokens, which) in events)
            {
                var i = open.Count == 0 ? 0 : which % open.Count;
                if (turn == Turn.Ask)
                {
                    var bound = ledger.BoundFor($"{client}", tokens);
                    var waiting = open.Where(one => one.Waits).Sum(one => one.Tokens);
                    var fits = open.Count < requestsMax && (waiting == 0 || waiting + tokens <= tokensMax);
                    if (!fits) Assert.True(bound is DoorBound.Requests or DoorBound.Tokens);
                    else if (open.TrueForAll(one => one.Client != client)) Assert.Null(bound);
                    if (bound is not null) continue;
                    var id = new RequestId($"{which}-{open.Count}-{tokens}");
                    if (open.Exists(one => one.Id == id)) continue;
                    ledger.Add(id, $"{client}", tokens, waits: true);
                    ledger.Add(id, $"{client}", tokens, waits: true);
                    open.Add((id, client, tokens, true));
                }
                else if (open.Count > 0 && turn == Turn.Begin)
                {
                    Assert.Equal(open[i].Waits ? open[i].Tokens : 0, ledger.Begin(open[i].Id));
                    open[i] = open[i] with { Waits = false };
                }
                else if (open.Count > 0)
                {
                    Assert.Equal(open[i].Waits ? open[i].Tokens : 0, ledger.Remove(open[i].Id));
                    ledger.Remove(open[i].Id);
                    open.RemoveAt(i);
                }

                var left = open.Where(one => one.Waits).ToArray();
                Assert.Equal(open.Count, ledger.Count);
                Assert.Equal(left.Sum(one => one.Tokens), ledger.WaitingTokens);
                Assert.Equal(open.Select(one => one.Client).Distinct().Count(), ledger.ClientCount);
                Assert.InRange(ledger.Count, 0, requestsMax);
                Assert.True(ledger.WaitingTokens <= tokensMax || left.Length == 1);
            }
        }, iter: 2_000);

    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 7)]
    [InlineData(8, 7)]
    [InlineData(1024, 896)]
    public void Client_that_is_alone_has_seven_eighths_of_a_large_room_and_all_of_a_small_one(int max, int its)
    {
        var ledger = new OpenLedger(max, 1_000_000);

        while (ledger.BoundFor("greedy", 1) is null)
            ledger.Add(new RequestId($"{ledger.Count}"), "greedy", 1, waits: true);

        Assert.Equal(its, ledger.Count);
    }

    [Fact]
    public void Clients_that_want_all_they_can_get_have_equal_shares_and_a_newcomer_finds_room()
    {
        var ledger = new OpenLedger(100, 1_000_000);
        string[] clients = ["a", "b", "c"];

        while (clients.Any(client => ledger.BoundFor(client, 1) is null))
        {
            foreach (var client in clients.Where(client => ledger.BoundFor(client, 1) is null))
                ledger.Add(new RequestId($"{ledger.Count}"), client, 1, waits: true);
        }

        Assert.All(clients, client => Assert.InRange(ledger.Of(client).Requests, 31, 33));
        Assert.Null(ledger.BoundFor("newcomer", 1));
    }

    [Fact]
    public void Request_longer_than_all_that_may_wait_is_let_in_when_nothing_waits()
    {
        var ledger = new OpenLedger(10, 100);

        Assert.Null(ledger.BoundFor("a", 1_000));
        ledger.Add(new RequestId("long"), "a", 1_000, waits: true);
        Assert.Equal(DoorBound.Tokens, ledger.BoundFor("b", 1));
        ledger.Begin(new RequestId("long"));
        Assert.Null(ledger.BoundFor("b", 1));
    }

    [Fact]
    public void Client_whose_tokens_wait_leaves_room_for_others()
    {
        var ledger = new OpenLedger(100, 800);
        while (ledger.BoundFor("greedy", 20) is null)
            ledger.Add(new RequestId($"{ledger.Count}"), "greedy", 20, waits: true);

        Assert.Equal(DoorBound.ClientTokens, ledger.BoundFor("greedy", 20));
        Assert.Equal(700, ledger.WaitingTokens);
        Assert.Null(ledger.BoundFor("modest", 20));
    }
}
