using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Tests.Scheduling.SchedulerFixture;

namespace SpotServe.Tests.Replica;

/// <summary>What a step draws goes to each gateway in one message, in the order of its steps.</summary>
public sealed class StepDrewTests : ReplicaTestKit
{
    [Fact]
    public async Task A_step_is_one_message_for_all_requests_of_a_gateway()
    {
        Limits = Limits(pages: 64, context: 96, sequences: 8, steps: 1);
        Start();
        var (near, far) = (CreateTestProbe("near"), CreateTestProbe("far"));
        var requests = Enumerable.Range(0, 6).Select(i => Request($"r{i}", 3, 4)).ToArray();
        for (var i = 0; i < requests.Length; i++)
            Replica.Tell(Submit(requests[i]) with { Gateway = i < 4 ? near : far }, CreateTestProbe());
        await LoadAsync();   // All are here.

        var drawn = requests.ToDictionary(request => request.Id, _ => new List<int>());
        while (drawn.Values.Any(tokens => tokens.Count < 4))
        {
            await Pipeline.StepAsync(Cancel);
            await LoadAsync();
            foreach (var gateway in (Akka.TestKit.TestProbe[])[near, far])
            {
                if (!gateway.HasMessages) continue;
                var step = await gateway.ExpectMsgAsync<ReplicaProtocol.StepDrew>(cancellationToken: Cancel);
                Assert.Equal(Replica, gateway.LastSender);
                Assert.False(gateway.HasMessages);
                foreach (var one in step.Drawn)
                {
                    Assert.Equal(drawn[one.Id].Count, one.FirstIndex);
                    drawn[one.Id].AddRange(one.Tokens);
                }
            }
        }

        Assert.All(requests, request => Assert.Equal(Alone(request, Limits), drawn[request.Id]));
    }

    [Fact]
    public async Task An_end_comes_behind_the_tokens_before_it()
    {
        Start();
        var gateway = CreateTestProbe("gateway");
        Replica.Tell(Submit(Request("a", 3, 8)) with { Gateway = gateway }, Entity);
        await Pipeline.StepAsync(Cancel);

        Pipeline.Lose("a cable");

        await gateway.ExpectMsgAsync<ReplicaProtocol.StepDrew>(cancellationToken: Cancel);
        var rejected = await gateway.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        Assert.Equal("a", rejected.Id.Value);
        Assert.False(Entity.HasMessages);
    }
}
