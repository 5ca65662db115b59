using Akka.Configuration;
using Akka.TestKit.Xunit;

namespace SpotServe.Tests;

/// <summary>
/// Akka's kit, which waits for what has to come as long as a test on a busy machine may take: Akka's own 3 s are less
/// than a machine with two cores and other work sometimes needs to start a thread. Only a test that fails waits so
/// long.
/// </summary>
public abstract class PatientTestKit(Config config) : TestKit(config.WithFallback(Patient))
{
    /// <summary>How long a test waits for what has to come.</summary>
    public static readonly TimeSpan Patience = Waits.Max;

    private static readonly Config Patient = ConfigurationFactory.ParseString(
        $$"""
        akka.test {
          single-expect-default = {{Patience.TotalSeconds}}s
          default-timeout = {{Patience.TotalSeconds}}s
          filter-leeway = {{Patience.TotalSeconds}}s
        }
        """);

    protected PatientTestKit(string config = "")
        : this(ConfigurationFactory.ParseString(config))
    {
    }
}
