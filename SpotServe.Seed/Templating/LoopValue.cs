namespace SpotServe.Seed.Templating;

/// <summary>The variable "loop" in one turn of a loop.</summary>
/// <param name="index">Of the turn, from 0.</param>
/// <param name="depth">Loops around this one.</param>
internal sealed class LoopValue(IReadOnlyList<Value> items, int index, int depth) : Value
{
    public override string TypeName => "loop";

    public override bool IsTrue => true;

    public int Index => index;

    /// <summary>A member by name, or null.</summary>
    public Value? Find(string name) => name switch
    {
        "index" => Of(index + 1L),
        "index0" => Of((long)index),
        "revindex" => Of((long)items.Count - index),
        "revindex0" => Of((long)items.Count - index - 1),
        "first" => Of(index == 0),
        "last" => Of(index == items.Count - 1),
        "length" => Of((long)items.Count),
        "depth" => Of(depth + 1L),
        "depth0" => Of((long)depth),
        "previtem" when index > 0 => items[index - 1],
        "nextitem" when index < items.Count - 1 => items[index + 1],
        _ => null,
    };
}
