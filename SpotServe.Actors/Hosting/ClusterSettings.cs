using System.Reflection;
using Akka.Configuration;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// The HOCON files of hocon/, which are compiled into this assembly so that no process can miss them.
/// </summary>
public static class ClusterSettings
{
    /// <summary>Name of the actor system in every process of a cluster.</summary>
    public const string SystemName = "spotserve";

    /// <summary>Settings of a control node.</summary>
    public static Config Control() => Load("seed.conf");

    /// <summary>Settings of a gpu node.</summary>
    public static Config Gpu() => Load("node.conf");

    private static Config Load(string name)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name);
        Invariant.Holds(stream is not null);
        using var reader = new StreamReader(stream);
        return ConfigurationFactory.ParseString(reader.ReadToEnd());
    }
}
