using SpotServe.Node.Lifetime;
using Xunit;

namespace SpotServe.Tests.Hosting;

public sealed class StartTimelineTests
{
    private readonly ManualClock _clock = new();
    private readonly List<string> _said = [];

    [Fact]
    public void Start_is_told_once_with_each_phase_from_the_processs_start_to_the_first_step()
    {
        var timeline = new StartTimeline(_clock, _clock.GetUtcNow(), "cuda:0", _said.Add);
        Pass(2.5);
        timeline.Reached("device");
        Pass(2);
        timeline.Reached("weights", bytes: 16_000_000_000);
        Pass(0.25);
        timeline.End("first step");

        Pass(1);
        timeline.Reached("weights", bytes: 1);
        timeline.End("first step");

        Assert.Equal(
            ["start of cuda:0: device 2.50 s, weights 2.00 s (16000 MB, 8.0 GB/s), first step 0.25 s; 4.75 s in all"],
            _said);
    }

    private void Pass(double seconds) => _clock.Advance(TimeSpan.FromSeconds(seconds));
}
