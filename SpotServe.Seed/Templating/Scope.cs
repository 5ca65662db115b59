namespace SpotServe.Seed.Templating;

/// <summary>Names and their values; inner scopes see the outer ones' and never change them.</summary>
internal sealed class Scope(Scope? outer)
{
    private readonly Dictionary<string, Value> _values = [];

    public Value? Find(string name)
    {
        for (var scope = this; scope is not null; scope = scope.Outer)
            if (scope._values.TryGetValue(name, out var value)) return value;
        return null;
    }

    public void Set(string name, Value value) => _values[name] = value;

    private Scope? Outer => outer;
}
