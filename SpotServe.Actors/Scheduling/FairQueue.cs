using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Who is next among those that wait: start-time fair queueing over clients, with cost in tokens. Each client has an
/// account of what it got, in tokens by its weight; the one with the least is next. A client that comes, or comes back,
/// begins at virtual time, which is about where those stand that are being served: it is not behind for what others
/// have got, nor ahead for what it did not ask for. So a client with one request waits for about one request of each
/// other client, however many these have. Not thread-safe; no clock.
/// </summary>
/// <remarks>
/// Goyal, Vin and Cheng's start-time fair queueing (1996), with three differences. A request's cost is known when it is
/// over: it is charged with what is expected when it is taken, and the rest when it is settled. Virtual time moves with
/// every request that is taken, by its certain cost over the weights of all that wait: else it would stand still while
/// new clients come one after another, and they could keep out for ever one that had something before. And a request's
/// priority counts as tokens, <see cref="PriorityTokens"/> a step: one of priority -1 is as far ahead as if its client
/// had got so much less. That is its ageing: virtual time passes every priority, so that nobody starves.
/// <para>Laws: while two clients wait, with equal priorities and settled costs, what they got by their weights differs
/// by at most one request's cost of each. Within a client and priority, first come, first served.</para>
/// </remarks>
/// <typeparam name="T">What waits.</typeparam>
internal sealed class FairQueue<T>
{
    /// <summary>What a step of priority is worth.</summary>
    public const int PriorityTokens = 4_096;

    /// <summary>Tokens of a completion that are expected of a client that had none yet, unless it asked for
    /// fewer.</summary>
    public const int CompletionGuess = 128;

    /// <summary>Clients that are remembered though none of their requests waits or runs.</summary>
    private const int IdleClientsMax = 4_096;

    private readonly Dictionary<string, Client> _clients = [];
    private readonly List<Client> _waiting = [];
    private double _time;
    private long _lastArrival;
    private int _unsettled;

    /// <summary>Those that wait.</summary>
    public int Count { get; private set; }

    /// <summary>Clients of whom it is known what they got.</summary>
    public int RememberedClients => _clients.Count;

    /// <summary>Those that wait, in no particular order.</summary>
    public IEnumerable<T> Items => _waiting.SelectMany(client => client.Classes.Values).SelectMany(one => one)
        .Select(place => place.Item);

    /// <summary>Puts one behind those of its client and priority.</summary>
    public Place Add(Standing standing, T item)
    {
        ref var client = ref CollectionsMarshal.GetValueRefOrAddDefault(_clients, standing.Client, out _);
        client ??= new Client(standing.Client, _time);
        client.Weight = Math.Clamp(standing.Weight, 1, Standing.WeightMax);
        if (client.Waiting == 0)
        {
            client.Got = Math.Max(client.Got, _time);
            _waiting.Add(client);
        }

        var priority = Math.Clamp(standing.Priority, -Standing.PriorityMax, Standing.PriorityMax);
        var place = new Place(client, priority, _time, ++_lastArrival, item);
        place.Node = client.ClassOf(priority).AddLast(place);
        client.Waiting++;
        Count++;
        return place;
    }

    /// <summary>The next one; it stays where it is. Linear in clients that wait.</summary>
    public bool TryPeek([NotNullWhen(true)] out Place? next)
    {
        next = null;
        var least = (Key: 0.0, Arrival: 0L);
        foreach (var client in _waiting)
        {
            var first = client.First();
            var rank = (client.Got + ((double)first.Priority * PriorityTokens), first.Arrival);
            if (next is not null && rank.CompareTo(least) >= 0) continue;
            (next, least) = (first, rank);
        }

        return next is not null;
    }

    /// <summary>Takes one out to be served, and charges its client.</summary>
    /// <param name="tokens">What it certainly costs, >= 1.</param>
    /// <param name="completionMax">Tokens that it may cost besides.</param>
    /// <returns>To be settled when it is over.</returns>
    public Charge Take(Place place, long tokens, long completionMax)
    {
        Invariant.Holds(tokens >= 1);
        Invariant.Holds(completionMax >= 0);
        var client = place.Client;
        var weights = _waiting.Sum(one => (double)one.Weight);
        _time = Math.Max(_time + (tokens / weights), client.Got);
        var expected = Math.Min(completionMax, client.Completion);
        client.Got += (tokens + expected) / client.Weight;
        client.Unsettled++;
        _unsettled++;
        Leave(place);
        if (_clients.Count > _waiting.Count + _unsettled + IdleClientsMax) ForgetIdle();
        return new Charge(client, expected);
    }

    /// <summary>One that was taken is over.</summary>
    /// <param name="completion">Tokens that it cost besides the certain ones.</param>
    public void Settle(Charge charge, long completion)
    {
        Invariant.Holds(!charge.IsSettled, "a request is settled once");
        Invariant.Holds(completion >= 0);
        charge.IsSettled = true;
        var client = charge.Client;
        client.Got += (completion - charge.Expected) / client.Weight;
        client.Completion += (completion - client.Completion) / 8;
        client.Unsettled--;
        _unsettled--;
        EndWhenIdle();
    }

    /// <summary>Takes one out that is not to be served any more. It costs nothing.</summary>
    public void Remove(Place place)
    {
        Leave(place);
        EndWhenIdle();
    }

    /// <exception cref="InvariantException">Counts and lists contradict each other.</exception>
    public void CheckLaws()
    {
        Invariant.Holds(_waiting.Sum(client => client.Waiting) == Count);
        Invariant.Holds(_clients.Values.Count(client => client.Waiting > 0) == _waiting.Count);
        Invariant.Holds(_clients.Values.Sum(client => client.Unsettled) == _unsettled);
        foreach (var client in _waiting)
        {
            Invariant.Holds(client.Classes.Values.Sum(one => one.Count) == client.Waiting);
            Invariant.Holds(client.Classes.Values.All(one => one.Count > 0));
            Invariant.Holds(_clients[client.Name] == client);
        }
    }

    private void Leave(Place place)
    {
        var node = place.Node;
        Invariant.Holds(node?.List is not null, "only one that waits leaves");
        var client = place.Client;
        var waiting = node.List;
        waiting.Remove(node);
        if (waiting.Count == 0) client.Classes.Remove(place.Priority);
        client.Waiting--;
        Count--;
        if (client.Waiting == 0) _waiting.Remove(client);
    }

    /// <summary>A busy period is over: nobody is owed anything.</summary>
    private void EndWhenIdle()
    {
        if (Count > 0 || _unsettled > 0) return;
        _clients.Clear();
        _time = 0;
    }

    /// <summary>Those that stand at virtual time or behind would begin there anew; the others are forgiven what they
    /// got, for there is an end to what can be remembered.</summary>
    private void ForgetIdle()
    {
        Forget(client => client.Got <= _time);
        if (_clients.Count > _waiting.Count + _unsettled + IdleClientsMax) Forget(_ => true);

        void Forget(Func<Client, bool> which)
        {
            var idle = _clients.Values.Where(one => one.Waiting == 0 && one.Unsettled == 0 && which(one)).ToArray();
            foreach (var client in idle) _clients.Remove(client.Name);
        }
    }

    /// <summary>One that waits.</summary>
    public sealed class Place
    {
        internal Place(Client client, int priority, double cameAt, long arrival, T item) =>
            (Client, Priority, CameAt, Arrival, Item) = (client, priority, cameAt, arrival, item);

        public T Item { get; }

        internal Client Client { get; }

        internal int Priority { get; }

        /// <summary>Virtual time at which it came: what its priority ages from, among those of its client.</summary>
        internal double CameAt { get; }

        internal long Arrival { get; }

        internal LinkedListNode<Place>? Node { get; set; }
    }

    /// <summary>What was taken, until it is settled.</summary>
    public sealed class Charge
    {
        internal Charge(Client client, double expected) => (Client, Expected) = (client, expected);

        internal Client Client { get; }

        /// <summary>Tokens besides the certain ones that its client was charged with.</summary>
        internal double Expected { get; }

        internal bool IsSettled { get; set; }
    }

    internal sealed class Client(string name, double got)
    {
        public string Name => name;

        public int Weight { get; set; }

        /// <summary>Tokens by weight.</summary>
        public double Got { get; set; } = got;

        /// <summary>Mean tokens of its completions, the later ones counting more.</summary>
        public double Completion { get; set; } = CompletionGuess;

        public int Waiting { get; set; }

        public int Unsettled { get; set; }

        /// <summary>By priority, none of them empty.</summary>
        public SortedDictionary<int, LinkedList<Place>> Classes { get; } = [];

        public LinkedList<Place> ClassOf(int priority)
        {
            if (!Classes.TryGetValue(priority, out var waiting)) Classes[priority] = waiting = new LinkedList<Place>();
            return waiting;
        }

        /// <summary>The one that is next of this client's: the first of its lowest priority, unless one of another
        /// has grown old.</summary>
        public Place First()
        {
            Place? first = null;
            foreach (var waiting in Classes.Values)
            {
                var place = waiting.First!.Value;
                if (first is null || Age(place).CompareTo(Age(first)) < 0) first = place;
            }

            return first!;

            static (double, long) Age(Place place) =>
                (place.CameAt + ((double)place.Priority * PriorityTokens), place.Arrival);
        }
    }
}
