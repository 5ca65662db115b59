using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using SpotServe.Actors.Cluster;

namespace SpotServe.Node.Preemption;

/// <summary>
/// What signals mean to a node. The first SIGTERM is a notice: clouds and orchestrators send it before they take a
/// machine. SIGINT (Ctrl-C), or any second signal, stops at once. A third one is left to the system, which ends the
/// process on the spot.
/// </summary>
/// <param name="grace">Time from SIGTERM to the machine's end; zero makes SIGTERM a stop, too.</param>
/// <param name="stop">Stops the process in order; called once.</param>
internal sealed class StopSignals(TimeSpan grace, TimeProvider clock, Action stop)
    : INoticeSource, IDisposable
{
    private readonly TaskCompletionSource<PreemptionNotice> _notice =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly Lock _lock = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private bool _noticed;
    private bool _stopped;

    public string Name => "signal";

    /// <summary>The first SIGTERM; there is no second notice.</summary>
    public async IAsyncEnumerable<MachineEvent> WatchAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        yield return new MachineEvent.Leaves(await _notice.Task.WaitAsync(cancel).ConfigureAwait(false));
    }

    /// <summary>Takes the signals of this process from now on.</summary>
    public void Listen()
    {
        foreach (var signal in (PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM])
        {
            _registrations.Add(PosixSignalRegistration.Create(
                signal, context => context.Cancel = Take(context.Signal)));
        }
    }

    public void Dispose()
    {
        foreach (var registration in _registrations) registration.Dispose();
    }

    /// <summary>Acts on a signal; false when the system shall do what it does by itself.</summary>
    public bool Take(PosixSignal signal)
    {
        lock (_lock)
        {
            if (_stopped) return false;
            if (signal == PosixSignal.SIGTERM && !_noticed && grace > TimeSpan.Zero)
            {
                _noticed = true;
                _notice.SetResult(new PreemptionNotice(clock.GetUtcNow() + grace, Name));
                return true;
            }

            _stopped = true;
        }

        stop();
        return true;
    }
}
