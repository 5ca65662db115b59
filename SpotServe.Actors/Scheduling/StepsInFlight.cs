namespace SpotServe.Actors.Scheduling;

/// <summary>The steps that were planned and not completed, oldest first, with their sequences in chunk order.</summary>
internal sealed class StepsInFlight
{
    private readonly Step[] _ring;
    private int _oldest;

    public StepsInFlight(int stepsMax)
    {
        _ring = new Step[stepsMax];
        for (var i = 0; i < stepsMax; i++) _ring[i] = new Step();
    }

    public int Count { get; private set; }

    public bool IsFull => Count == _ring.Length;

    public Step Oldest => this[0];

    /// <summary>Step by age, 0 is the oldest.</summary>
    public Step this[int age]
    {
        get
        {
            Invariant.Holds(age < Count);
            return _ring[(_oldest + age) % _ring.Length];
        }
    }

    /// <summary>An empty step to be filled; it counts once <see cref="Push"/> is called.</summary>
    public Step Prepare(long id)
    {
        Invariant.Holds(!IsFull);
        var step = _ring[(_oldest + Count) % _ring.Length];
        Invariant.Holds(step.Sequences.Count == 0);
        step.Id = id;
        step.ScoreCount = 0;
        return step;
    }

    public void Push() => Count++;

    public void RemoveOldest()
    {
        Oldest.Sequences.Clear();
        _oldest = (_oldest + 1) % _ring.Length;
        Count--;
    }

    internal sealed class Step
    {
        public long Id { get; set; }

        public List<Sequence> Sequences { get; } = [];

        public int SampleCount { get; set; }

        public int ScoreCount { get; set; }
    }
}
