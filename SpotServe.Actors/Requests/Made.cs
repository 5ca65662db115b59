using Akka.Actor;

namespace SpotServe.Actors.Requests;

/// <summary>
/// Props of actors that are made for each request. Akka's own take an expression, of which they compile each argument
/// anew: a millisecond of processor time for an actor.
/// </summary>
internal static class Made
{
    /// <param name="make">Called for each incarnation, on the thread that starts it.</param>
    public static Props By<T>(Func<T> make)
        where T : ActorBase =>
        Props.CreateBy(new Producer<T>(make));

    private sealed class Producer<T>(Func<T> make) : IIndirectActorProducer
        where T : ActorBase
    {
        public Type ActorType => typeof(T);

        public ActorBase Produce() => make();

        public void Release(ActorBase actor)
        {
        }
    }
}
