using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>Tensors of equal width that lie in memory one below the other, so that one product serves all; mostly
/// just one.</summary>
/// <param name="Type">Of the elements in device memory.</param>
public sealed record StackedTensors(ImmutableArray<TensorSpec> Parts, ElementType Type);

/// <summary>How a device keeps a model's weights: which tensors are stacked, and in which type.</summary>
public sealed class WeightShape
{
    private readonly ImmutableArray<StackedTensors>[] _stacks;

    /// <param name="stacked">Names of layer tensors that are kept as one, in the order of their rows.</param>
    /// <param name="typeOf">Type of a tensor in device memory.</param>
    public WeightShape(
        ModelSpec model, IEnumerable<ImmutableArray<string>> stacked, Func<TensorSpec, ElementType> typeOf)
    {
        Geometry = new SliceGeometry(model);
        var lists = stacked.ToArray();
        _stacks = [.. Enum.GetValues<TensorGroup>().Select(group => Stacks(Specs(group), lists, typeOf))];
        IsTied = EvenNames(TensorGroup.Front) is { Length: > 0 } front
            && front.SequenceEqual(EvenNames(TensorGroup.Back));
    }

    public SliceGeometry Geometry { get; }

    public ModelSpec Model => Geometry.Model;

    /// <summary>Front and back cut the same tensors evenly (a tied embedding): one's memory is the other's.</summary>
    public bool IsTied { get; }

    /// <summary>A group's tensors in the model's order, which is that of the wire form.</summary>
    public ImmutableArray<TensorSpec> Specs(TensorGroup group) => group switch
    {
        TensorGroup.Front => Model.Front,
        TensorGroup.Layers => Model.Layer,
        TensorGroup.Back => Model.Back,
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    public ImmutableArray<StackedTensors> Stacks(TensorGroup group) => _stacks[(int)group];

    /// <summary>Cut on the even axis of a share.</summary>
    public static bool IsEven(TensorSpec tensor) =>
        tensor.Split is not (TensorSplit.Replicated or TensorSplit.KvHeads);

    /// <summary>The part of a tensor that belongs to a share.</summary>
    public Rectangle RectangleOf(TensorSpec tensor, Share share)
    {
        var (axis, range) = Geometry.RangeOf(tensor, share);
        return Rectangle.Of(tensor, axis, range);
    }

    /// <summary>Bytes in device memory of a share of one layer, or of the front or back.</summary>
    public long Bytes(TensorGroup group, Share share)
    {
        var bytes = 0L;
        foreach (var stack in Stacks(group))
        {
            foreach (var tensor in stack.Parts) bytes += RectangleOf(tensor, share).Elements * stack.Type.Bytes();
        }

        return bytes;
    }

    private static ImmutableArray<StackedTensors> Stacks(
        ImmutableArray<TensorSpec> specs, ImmutableArray<string>[] stacked, Func<TensorSpec, ElementType> typeOf)
    {
        var stacks = ImmutableArray.CreateBuilder<StackedTensors>(specs.Length);
        foreach (var spec in specs)
        {
            var names = Array.Find(stacked, list => list.Contains(spec.Name));
            if (names.IsDefault)
            {
                stacks.Add(new StackedTensors([spec], typeOf(spec)));
            }
            else if (names[0] == spec.Name)
            {
                ImmutableArray<TensorSpec> parts =
                    [.. names.Select(name => specs.Single(other => other.Name == name))];
                var type = typeOf(spec);
                Invariant.Holds(parts.All(part => typeOf(part) == type && part.Split != TensorSplit.Input));
                stacks.Add(new StackedTensors(parts, type));
            }
        }

        return stacks.ToImmutable();
    }

    private string[] EvenNames(TensorGroup group) =>
    [
        .. Specs(group).Where(IsEven).Select(spec => spec.Name),
    ];
}
