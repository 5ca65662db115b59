using System.Collections.Immutable;
using Akka.Actor;
using Akka.Persistence;
using Akka.Persistence.Journal;

namespace SpotServe.Tests.Requests;

/// <summary>A journal in memory that writes when the test says so: what happens before that has happened too
/// early.</summary>
public sealed class HeldJournal : MemoryJournal
{
    /// <summary>Named in the settings of an actor system.</summary>
    public const string Settings =
        """
        akka.persistence.journal.plugin = "held-journal"
        held-journal {
          class = "SpotServe.Tests.Requests.HeldJournal, SpotServe.Tests"
          plugin-dispatcher = "akka.actor.default-dispatcher"
        }
        """;

    private static readonly Dictionary<ActorSystem, Gate> Gates = [];
    private readonly Gate _gate = GateOf(Context.System);

    /// <summary>The gate of a system's journal, open at first.</summary>
    internal static Gate GateOf(ActorSystem system)
    {
        lock (Gates)
        {
            if (!Gates.TryGetValue(system, out var gate)) Gates[system] = gate = new Gate();
            return gate;
        }
    }

    protected override async Task<IImmutableList<Exception?>> WriteMessagesAsync(
        IEnumerable<AtomicWrite> messages, CancellationToken cancellationToken)
    {
        await _gate.PassAsync();
        return await base.WriteMessagesAsync(messages, cancellationToken);
    }

    internal sealed class Gate
    {
        private readonly Lock _lock = new();
        private TaskCompletionSource _open = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TaskCompletionSource _waiting = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Gate() => _open.SetResult();

        /// <summary>Writes wait from here on.</summary>
        public void Close()
        {
            lock (_lock)
            {
                _open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _waiting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }

        public void Open()
        {
            lock (_lock) _open.TrySetResult();
        }

        /// <summary>Completes once a write waits.</summary>
        public Task WaitsAsync()
        {
            lock (_lock) return _waiting.Task;
        }

        public Task PassAsync()
        {
            lock (_lock)
            {
                _waiting.TrySetResult();
                return _open.Task;
            }
        }
    }
}
