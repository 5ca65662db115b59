namespace SpotServe.Tests.Simulation;

/// <summary>
/// How long everything has been well: nothing cut off, late, hung, killed or replaced. Laws that bound a time hold
/// then; at other times somebody may rightly not know yet.
/// </summary>
internal sealed class SimCalm
{
    private static readonly TimeSpan CheckPeriod = TimeSpan.FromSeconds(0.1);
    private readonly SimCluster _cluster;
    private TimeSpan _disturbedAt;
    private TimeSpan _orphansUntil;

    public SimCalm(SimCluster cluster)
    {
        _cluster = cluster;
        Check();
    }

    private SimWorld World => _cluster.World;

    public bool Lasts(TimeSpan time) => Since(World.Now - time);

    /// <summary>Nothing has been wrong from then on, now included.</summary>
    public bool Since(TimeSpan time)
    {
        Look();
        return _disturbedAt < time;
    }

    public void Disturb() => _disturbedAt = World.Now;

    /// <summary>A control node that was given up has woken and ended. What it had submitted meanwhile is an orphan of
    /// its replica, which gives it this long to be spoken for.</summary>
    public void LeaveOrphans(TimeSpan grace) => _orphansUntil = World.Now + grace;

    public bool HasOrphans => World.Now < _orphansUntil;

    private void Check()
    {
        Look();
        World.After(CheckPeriod, Check);
    }

    private void Look()
    {
        if (World.Network.IsDisturbed || _cluster.Nodes.Exists(node => node.Process.IsHung)
            || _cluster.Controls.Exists(control => !control.IsReady))
        {
            Disturb();
        }
    }
}
