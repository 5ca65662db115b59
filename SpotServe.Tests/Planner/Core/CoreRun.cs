using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planner;
using Xunit;

namespace SpotServe.Tests.Planner.Core;

/// <summary>A core with its journal and a world, on virtual time. Its laws are checked with every effect and after
/// every step.</summary>
internal sealed class CoreRun
{
    private const int StoryMax = 24;
    private static readonly DateTimeOffset Start = DateTimeOffset.UnixEpoch;
    private readonly PlannerCore _core;
    private readonly CoreBug? _bug;
    private readonly List<object> _heard = [];
    private readonly Queue<string> _story = [];
    private bool _failsNextWrite;

    /// <param name="bug">Put into the core, so that a test sees whether the laws notice.</param>
    public CoreRun(PlannerOptions options, CoreBug? bug = null)
    {
        _core = new PlannerCore(options);
        _bug = bug;
        State = null!;
        Recover();
    }

    public CoreWorld World { get; } = new();

    public CoreLaws Laws { get; } = new();

    public PlannerState State { get; private set; }

    public DateTimeOffset Now { get; private set; } = Start;

    /// <summary>Commands that get lost on their way from now on.</summary>
    public int CommandsToLose { get; set; }

    /// <summary>Answers that never arrive.</summary>
    public Type? Muted { get; set; }

    /// <summary>Phases that the core was in.</summary>
    public HashSet<Type> Phases { get; } = [];

    /// <summary>What the core logged last.</summary>
    public string Story => string.Join("\n", _story);

    public IReadOnlyList<object> HeardBefore => _heard;

    /// <summary>The next entry of the journal cannot be written: the planner ends, and another one begins.</summary>
    public void FailNextWrite() => _failsNextWrite = true;

    public void Hear(object message)
    {
        Laws.Heard(message);
        _heard.Add(message);
        var (state, effects) = _core.Step(State, message, Now);
        Take(state, effects);
    }

    public void Deliver(int index)
    {
        var message = World.Mail[index];
        World.Mail.RemoveAt(index);
        if (message.GetType() != Muted) Hear(message);
    }

    public void DeliverAll()
    {
        // Answers lead to commands, and these to answers.
        for (var rounds = 0; World.Mail.Count > 0; rounds++)
        {
            Assert.True(rounds < 5_000, $"no end of messages in {State.Phase}");
            Deliver(0);
        }
    }

    /// <summary>Time passes, in steps of the planner's timer.</summary>
    public void Pass(TimeSpan time, bool nodesReport, bool mailArrives = false)
    {
        var step = TimeSpan.FromMilliseconds(50);
        for (var end = Now + time; Now < end;)
        {
            Now += step;
            var over = World.Living.Where(node => node.Deadline <= Now || node.LeavesAt <= Now).ToList();
            foreach (var node in over) World.End(node);
            if (nodesReport && (Now - Start).Ticks % ClusterProtocol.RegisterNode.Interval.Ticks < step.Ticks) Report();
            Hear(PlannerInputs.Tick.Instance);
            if (mailArrives) DeliverAll();
        }
    }

    public void Report()
    {
        foreach (var report in World.Living.ToList().SelectMany(node => node.Reports()).ToList()) Hear(report);
    }

    /// <summary>Another planner begins with what is written, as it lies in the journal.</summary>
    public void Recover()
    {
        var journal = JournalState.Empty;
        foreach (var entry in Laws.Entries)
        {
            var stored = StoredEvents.Schema.Write(entry);
            journal = journal.Apply((PlannerEvents.IPlannerEvent)StoredEvents.Schema.Read(
                stored, StoredEvents.Schema.ManifestOf(entry)));
        }

        Laws.Recovers(journal);
        var (state, effects) = _core.Begin(journal, Now);
        Take(state, effects);
    }

    private void Remember(string line)
    {
        _story.Enqueue(line);
        if (_story.Count > StoryMax) _story.Dequeue();
    }

    private void Take(PlannerState state, ImmutableArray<PlannerEffect> effects)
    {
        var before = State ?? state;
        if (_bug is not null) (state, effects) = _bug.Spoil(before, state, effects);
        State = state;
        Phases.Add(state.Phase.GetType());
        foreach (var effect in effects)
        {
            if (effect is PlannerEffect.Persist && _failsNextWrite)
            {
                _failsNextWrite = false;
                Recover();
                return;
            }

            Laws.Check(before, state, effect);
            Do(effect);
        }

        Laws.Check(state);
    }

    private void Do(PlannerEffect effect)
    {
        if (effect is PlannerEffect.Send or PlannerEffect.Connect or PlannerEffect.BeginHandover && CommandsToLose > 0)
        {
            CommandsToLose--;
            return;
        }

        switch (effect)
        {
            case PlannerEffect.Connect connect:
                World.Connect(connect);
                break;
            case PlannerEffect.BeginHandover begin:
                World.BeginHandover(begin);
                break;
            case PlannerEffect.Send { To: CoreAddress { Node: { } name } to, Message: var message }:
                if (World.Find(name) is { } node && node.Address == to) World.Command(node, message);
                else World.CommandLeader(to, message);
                break;
            case PlannerEffect.Log log:
                // A template that does not fit its values throws when it is written.
                Assert.Equal(log.Template.Count(letter => letter == '{'), log.Values.Length);
                Remember($"{(Now - Start).TotalSeconds:0.00} {log.Template} <- {string.Join(" | ", log.Values)}");
                break;
        }
    }
}
