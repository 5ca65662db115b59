using Akka.Actor;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Replica;
using SpotServe.Tests.Serialization;
using Xunit;

namespace SpotServe.Tests.Fragments;

/// <summary>Long messages between two actor systems with the real settings of messages.</summary>
public sealed class RemoteLargeMessagesTests : TwoSystems
{
    private static readonly GenerationParameters Parameters = new(7, SamplingParameters.Greedy, [2]);

    [Fact]
    public async Task Prompt_of_120_000_tokens_of_three_bytes_arrives_and_the_answer_finds_its_way_back()
    {
        var asker = Asker(await FarEchoAsync());
        var sent = Submit(120_000);

        var answer = await asker.Ask<ReplicaProtocol.Submit>(sent, Limit, Cancel);

        SameContent.Holds(sent, answer, "answer");
        Assert.NotSame(sent, answer);
    }

    [Fact]
    public async Task Messages_of_all_lengths_between_two_actors_keep_their_order()
    {
        var asker = Asker(await FarEchoAsync());
        var random = new Random(1);
        object[] sent = [.. Enumerable.Range(0, 60).Select(number => number % 3 == 0
            ? new ReplicaProtocol.Cancel(new Epoch(number), new RequestId("r"))
            : (object)(Submit(random.Next(60_000)) with { Epoch = new Epoch(number) }))];

        var answers = await asker.Ask<object[]>(sent, Limit, Cancel);

        Assert.Equal(
            Enumerable.Range(0, 60).Select(number => (long)number),
            answers.Select(answer => ((ReplicaProtocol.IMessage)answer).Epoch.Value));
    }

    [Fact]
    public async Task A_message_that_is_too_long_or_holds_an_unknown_type_is_refused_to_its_sender_at_once()
    {
        var asker = Asker(await FarEchoAsync());

        var tooLong = await asker.Ask<SendRefusal>(Submit(6_000_000), Limit, Cancel);
        var unknown = await asker.Ask<SendRefusal>(new TestProtocol.Cat("no"), Limit, Cancel);

        Assert.True(tooLong.IsPermanent);
        Assert.Contains("Submit takes 21,", tooLong.Reason, StringComparison.Ordinal);
        Assert.Contains("16,777,216", tooLong.Reason, StringComparison.Ordinal);
        Assert.True(unknown.IsPermanent);
        Assert.Contains(nameof(TestProtocol.Cat), unknown.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_relay_delivers_to_no_other_process_and_in_no_other_process_s_name()
    {
        var echo = await FarEchoAsync();
        var relay = await Left.ActorSelection($"{echo.Path.Root}user/{FragmentRelay.Name}")
            .ResolveOne(Limit, Cancel);
        var here = Left.ActorOf(Props.Create(() => new Echo()));
        var fragment = new FragmentProtocol.Fragment(1, 0, 1, 5, echo, here, [.. new byte[5]]);

        var elsewhere = await relay.Ask<FragmentProtocol.TransferRefused>(
            fragment with { Target = here }, Limit, Cancel);
        var forged = await relay.Ask<FragmentProtocol.TransferRefused>(fragment with { Sender = echo }, Limit, Cancel);
        var damaged = await relay.Ask<FragmentProtocol.TransferRefused>(fragment, Limit, Cancel);

        Assert.Contains("target", elsewhere.Reason, StringComparison.Ordinal);
        Assert.Contains("sender", forged.Reason, StringComparison.Ordinal);
        Assert.Contains("another build", damaged.Reason, StringComparison.Ordinal);
    }

    private static ReplicaProtocol.Submit Submit(int tokens) => new(
        new Epoch(7),
        new GenerationRequest(
            new RequestId("r"), new GenerationSpec([.. Enumerable.Range(20_000, tokens)], Parameters), [5, 6]));
}
