using Akka.Actor;
using Akka.Hosting;

namespace SpotServe.Actors.Threads;

/// <summary>
/// The one thread on which a control node's gateway, its request entities, their readers and the journal's actor run
/// (docs/adr/0124). Whoever runs there holds up all tokens: nothing on it waits, and what is long goes to the pool.
/// </summary>
internal static class TokenThread
{
    /// <summary>Name of the dispatcher.</summary>
    public const string Name = "spotserve.token-thread";

    private const string Settings =
        $$"""
        {{Name}} {
          type = Dispatcher
          executor = "SpotServe.Actors.Threads.OneThreadExecutor, SpotServe.Actors"
        }
        """;

    /// <summary>Gives an actor system the thread.</summary>
    public static AkkaConfigurationBuilder AddTokenThread(this AkkaConfigurationBuilder builder) =>
        builder.AddHocon(Settings, HoconAddMode.Prepend);

    /// <summary>Puts an actor on the thread, in a system that has it.</summary>
    internal static Props OnTokenThread(this Props props, ActorSystem system) =>
        system.Dispatchers.HasDispatcher(Name) ? props.WithDispatcher(Name) : props;
}
