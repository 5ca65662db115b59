using System.Text.Json;
using System.Threading.Channels;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Event;
using Microsoft.Extensions.Logging;
using SpotServe.Actors.Hosting;
using Xunit;

namespace SpotServe.Tests.Hosting;

public sealed class ActorLoggerTests
{
    [Fact]
    public async Task What_actors_log_is_under_their_area_with_their_path_and_what_the_template_names()
    {
        var lines = Channel.CreateUnbounded<string>();
        var options = new LogOptions(LogFormat.Json, LogLevels.Read(["Hosting=debug,Akka=none"]));
        using var provider = new LineLoggerProvider(
            options, line => lines.Writer.TryWrite(line), TimeProvider.System);
        using var factory = LoggerFactory.Create(
            builder => builder.SetMinimumLevel(Microsoft.Extensions.Logging.LogLevel.Trace).AddProvider(provider));
        using var system = ActorSystem.Create("test", ActorSystemSetup.Create(
            new ActorLogSetup(factory),
            BootstrapSetup.Create().WithConfig(
                $"akka {{ loglevel = DEBUG, loggers = [\"{typeof(ActorLogger).AssemblyQualifiedName}\"] }}")));

        // The type's namespace is the area: SpotServe.Tests.Hosting.
        system.ActorOf(Props.Create(() => new Teller()), "teller").Tell(7L);

        var line = await lines.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask()
            .WaitAsync(Waits.Max, TestContext.Current.CancellationToken);
        using var json = JsonDocument.Parse(line);
        var root = json.RootElement;
        Assert.Equal("Hosting", root.GetProperty("area").GetString());
        Assert.Equal("debug", root.GetProperty("level").GetString());
        Assert.EndsWith("/user/teller", root.GetProperty("source").GetString(), StringComparison.Ordinal);
        Assert.Equal("Epoch 7 of n:1 serves", root.GetProperty("message").GetString());
        Assert.Equal(7, root.GetProperty("fields").GetProperty("Epoch").GetInt64());
        Assert.Equal("n:1", root.GetProperty("fields").GetProperty("Node").GetString());
        await system.Terminate();
    }

    private sealed class Teller : ReceiveActor
    {
        public Teller()
        {
            var log = Context.GetLogger();
            Receive<long>(epoch => log.Debug("Epoch {Epoch} of {Node} serves", epoch, "n:1"));
        }
    }
}
