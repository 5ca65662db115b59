using CsCheck;
using SpotServe.Actors.Scheduling;
using Xunit;

namespace SpotServe.Tests.Scheduling;

/// <summary>The laws of the fair queue alone, where a request is a number and service takes no time.</summary>
public sealed class FairQueueTests
{
    private sealed record Waiter(string Client, int Priority, int Number, int Tokens);

    private sealed record Traffic(int Client, int Priority, int Tokens, int Completion, bool Cancels, bool Serves);

    private static readonly Gen<Traffic> GenTraffic =
        from client in Gen.Int[0, 5]
        from priority in Gen.Frequency((4, Gen.Const(0)), (1, Gen.Int[-10, 10]))
        from tokens in Gen.Int[1, 500]
        from completion in Gen.Int[0, 900]
        from cancels in Gen.Frequency((8, Gen.Const(false)), (1, Gen.Const(true)))
        from serves in Gen.Bool
        select new Traffic(client, priority, tokens, completion, cancels, serves);

    [Fact]
    public void Somebody_is_next_as_long_as_anybody_waits_and_each_client_s_of_a_priority_in_order() =>
        GenTraffic.Array[1, 150].Sample(traffic =>
        {
            var queue = new FairQueue<Waiter>();
            var waiting = new List<FairQueue<Waiter>.Place>();
            var served = new List<Waiter>();
            var unsettled = new Queue<(FairQueue<Waiter>.Charge Charge, int Completion)>();
            for (var i = 0; i < traffic.Length; i++)
            {
                var (client, priority, tokens, completion, cancels, serves) = traffic[i];
                var waiter = new Waiter($"{client}", priority, i, tokens);
                waiting.Add(queue.Add(new Standing(waiter.Client, client + 1, priority), waiter));
                if (cancels)
                {
                    queue.Remove(waiting[i % waiting.Count]);
                    waiting.RemoveAt(i % waiting.Count);
                }

                if (serves) Serve(completion);
                if (unsettled.Count > 3) Settle();
                queue.CheckLaws();
            }

            while (waiting.Count > 0) Serve(0);
            while (unsettled.Count > 0) Settle();
            queue.CheckLaws();
            Assert.False(queue.TryPeek(out _));
            foreach (var row in served.GroupBy(one => (one.Client, one.Priority)))
                Assert.Equal(row.Select(one => one.Number).Order(), row.Select(one => one.Number));

            void Serve(int completion)
            {
                Assert.Equal(waiting.Count, queue.Count);
                Assert.Equal(waiting.Count > 0, queue.TryPeek(out var next));
                if (next is null) return;
                unsettled.Enqueue((queue.Take(next, next.Item.Tokens, 1_000), completion));
                Assert.True(waiting.Remove(next));
                served.Add(next.Item);
            }

            void Settle()
            {
                var (charge, completion) = unsettled.Dequeue();
                queue.Settle(charge, completion);
            }
        }, iter: 1_000);

    /// <summary>Over every stretch of a busy period, and whenever a client joined it.</summary>
    [Fact]
    public void Clients_that_wait_get_tokens_by_their_weights_within_a_request_of_each() =>
        Gen.Select(Gen.Int[1, 20].Array[2, 5], Gen.Int[1, 400].Array[60, 200]).Sample((weights, costs) =>
        {
            var queue = new FairQueue<int>();
            var got = new double[weights.Length];
            var most = new double[weights.Length];
            var next = 0;
            // All but the last client wait from the start on; it comes later.
            for (var client = 0; client < weights.Length - 1; client++) Add(client);
            var since = new double[weights.Length];
            for (var turn = 0; turn < costs.Length; turn++)
            {
                if (turn == costs.Length / 3)
                {
                    Add(weights.Length - 1);
                    got.CopyTo(since, 0);
                }

                Assert.True(queue.TryPeek(out var place));
                var client = place.Item;
                var cost = costs[next++ % costs.Length];
                Add(client);   // It waits on.
                queue.Settle(queue.Take(place, cost, 0), 0);
                got[client] += (double)cost / weights[client];
                most[client] = Math.Max(most[client], (double)cost / weights[client]);
                var all = turn < costs.Length / 3 ? weights.Length - 1 : weights.Length;
                for (var one = 0; one < all; one++)
                {
                    for (var other = 0; other < one; other++)
                    {
                        var difference = Math.Abs(got[one] - since[one] - got[other] + since[other]);
                        // Where a stretch begins, one may be ahead by its share of the bound already.
                        Assert.InRange(difference, 0, (2 * (most[one] + most[other])) + most.Max() + 0.001);
                    }
                }
            }

            void Add(int client) => queue.Add(new Standing($"{client}", weights[client]), client);
        }, iter: 500);

    [Fact]
    public void Client_with_one_request_waits_for_one_of_a_client_with_five_hundred()
    {
        var queue = new FairQueue<string>();
        for (var i = 0; i < 500; i++) queue.Add(new Standing("many"), "many");
        for (var i = 0; i < 100; i++) Take(queue, 50);

        queue.Add(new Standing("one"), "one");

        var before = 0;
        while (Take(queue, 50) != "one") before++;
        Assert.InRange(before, 0, 1);
    }

    [Fact]
    public void Client_that_was_away_gets_nothing_for_it()
    {
        var queue = new FairQueue<string>();
        queue.Add(new Standing("away"), "away");
        for (var i = 0; i < 100; i++) queue.Add(new Standing("here"), "here");
        for (var i = 0; i < 50; i++) Take(queue, 50);

        for (var i = 0; i < 50; i++) queue.Add(new Standing("away"), "away");

        var turns = Enumerable.Range(0, 20).Select(_ => Take(queue, 50)).ToArray();
        Assert.InRange(turns.Count(turn => turn == "here"), 9, 11);
    }

    /// <summary>Each of them begins where those that are served stand, which is before one that got much: virtual time
    /// must pass it.</summary>
    [Theory]
    [InlineData(0, 420)]
    [InlineData(10, 33_300)]
    public void Client_that_got_much_is_not_kept_out_for_ever_by_new_clients(int priority, int turnsMax)
    {
        var queue = new FairQueue<string>();
        queue.Add(new Standing("first"), "first");
        queue.Add(new Standing("first", 1, priority), "first again");
        Take(queue, 10, completion: 1_000);
        for (var i = 0; i < 3; i++) queue.Add(new Standing($"early{i}", 1, -priority), "early");

        var turns = 0;
        while (Take(queue, 10) != "first again")
        {
            queue.Add(new Standing($"new{turns}", 1, -priority), "new");
            Assert.True(++turns < turnsMax, "starved");
        }
    }

    [Fact]
    public void Lower_priority_goes_first_and_higher_ones_of_the_same_client_come_all_the_same()
    {
        var queue = new FairQueue<string>();
        queue.Add(new Standing("a", 1, 10), "late");
        queue.Add(new Standing("a", 1, 0), "usual");
        queue.Add(new Standing("a", 1, -10), "soon");
        Assert.Equal("soon", Take(queue, 100));
        Assert.Equal("usual", Take(queue, 100));

        var turns = 0;
        do
        {
            queue.Add(new Standing("a", 1, -10), "soon");
            Assert.True(++turns < 1_000, "starved");
        }
        while (Take(queue, 100) != "late");

        // What 20 steps are worth, over what each turn costs.
        Assert.InRange(turns, 815, 822);
    }

    [Fact]
    public void Priority_is_worth_tokens_between_clients_and_no_larger_share()
    {
        var queue = new FairQueue<string>();
        for (var i = 0; i < 400; i++)
        {
            queue.Add(new Standing("pushes", 1, -1), "pushes");
            queue.Add(new Standing("usual"), "usual");
        }

        var turns = Enumerable.Range(0, 400).Select(_ => Take(queue, 100)).ToArray();

        Assert.All(turns[..40], turn => Assert.Equal("pushes", turn));
        Assert.InRange(turns[60..].Count(turn => turn == "pushes"), 168, 172);
    }

    /// <summary>Both are charged with the same at first; what came of it is settled.</summary>
    [Fact]
    public void Client_whose_completions_are_long_gets_as_many_tokens_as_one_whose_are_short()
    {
        var queue = new FairQueue<string>();
        var got = new Dictionary<string, int> { ["long"] = 0, ["short"] = 0 };
        for (var i = 0; i < 2_000; i++)
        {
            foreach (var client in got.Keys) queue.Add(new Standing(client), client);
        }

        var running = new Queue<(FairQueue<string>.Charge, int)>();
        for (var turn = 0; turn < 1_500; turn++)
        {
            Assert.True(queue.TryPeek(out var next));
            var completion = next.Item == "long" ? 1_000 : 100;
            running.Enqueue((queue.Take(next, 10, 2_000), completion));
            got[next.Item] += 10 + completion;
            if (running.Count < 8) continue;
            var (charge, cost) = running.Dequeue();
            queue.Settle(charge, cost);
        }

        Assert.InRange((double)got["long"] / got["short"], 0.9, 1.1);
    }

    [Fact]
    public void Client_whose_completion_was_shorter_than_expected_is_next_again()
    {
        var queue = new FairQueue<string>();
        for (var i = 0; i < 3; i++)
        {
            queue.Add(new Standing("short"), "short");
            queue.Add(new Standing("long"), "long");
        }

        var first = Charge();
        var second = Charge();
        queue.Settle(first.Charge, 0);
        queue.Settle(second.Charge, FairQueue<string>.CompletionGuess);

        Assert.Equal(["short", "long"], [first.Client, second.Client]);
        Assert.Equal(["short", "short"], [Charge().Client, Charge().Client]);

        (FairQueue<string>.Charge Charge, string Client) Charge()
        {
            Assert.True(queue.TryPeek(out var next));
            return (queue.Take(next, 10, 1_000), next.Item);
        }
    }

    [Fact]
    public void Clients_of_a_busy_period_that_never_ends_are_forgotten()
    {
        var queue = new FairQueue<int>();
        queue.Take(queue.Add(new Standing("always"), 0), 1, 0);   // It runs all the time.
        for (var i = 1; i < 20_000; i++)
        {
            queue.Add(new Standing($"{i}"), i);
            Take(queue, 100);
        }

        Assert.InRange(queue.RememberedClients, 1, 4_100);
        queue.CheckLaws();
    }

    private static T Take<T>(FairQueue<T> queue, int tokens, int completion = 0)
    {
        Assert.True(queue.TryPeek(out var next));
        queue.Settle(queue.Take(next, tokens, completion), completion);
        return next.Item;
    }
}
