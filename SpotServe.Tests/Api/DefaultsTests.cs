using SpotServe.Actors.ModelFolder;
using Xunit;

namespace SpotServe.Tests.Api;

public sealed class DefaultsTests
{
    [Fact]
    public async Task Sampling_that_a_request_leaves_out_is_what_the_models_folder_says()
    {
        await using var server = await ApiServer.StartAsync(defaults: new GenerationDefaults([7], 0.6, 0.9, 20));
        server.Cluster.Script = FakeCluster.Tokens([5]);

        await server.PostAsync("""{"prompt": "a"}""");
        var left = server.Cluster.Last.Parameters;
        await server.PostAsync("""{"prompt": "a", "temperature": 0.1, "top_p": 0.5, "top_k": 3}""");
        var given = server.Cluster.Last.Parameters;

        Assert.Equal((0.6f, 0.9f, 20), (left.Sampling.Temperature, left.Sampling.TopP, left.Sampling.TopK));
        Assert.Equal([7], left.StopTokens);
        Assert.Equal(LogitPenalties.None, left.Penalties);
        Assert.Equal((0.1f, 0.5f, 3), (given.Sampling.Temperature, given.Sampling.TopP, given.Sampling.TopK));
    }

    [Fact]
    public async Task Penalties_that_a_request_leaves_out_are_those_of_the_models_folder()
    {
        await using var server = await ApiServer.StartAsync(
            defaults: new GenerationDefaults([7], null, null, null) { RepetitionPenalty = 1.05, MinP = 0.1 });
        server.Cluster.Script = FakeCluster.Tokens([5]);

        await server.PostAsync("""{"prompt": "a"}""");
        var left = server.Cluster.Last.Parameters.Penalties;
        await server.PostAsync(
            """{"prompt": "a", "repetition_penalty": 1, "min_p": 0, "presence_penalty": 1, "frequency_penalty": -1}""");

        Assert.Equal(new LogitPenalties(0.1f, 0, 0, 1.05f), left);
        Assert.Equal(new LogitPenalties(0, 1, -1, 1), server.Cluster.Last.Parameters.Penalties);
    }
}
