using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Tidy;

/// <summary>What a reader of another project may have to know of SpotServe.Actors is what is public there, and no
/// more.</summary>
public sealed partial class VisibilityTests
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static
        | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static readonly Assembly Actors = typeof(LayoutSearch).Assembly;

    /// <summary>A type is public because another project names it, or because a public member of such a type
    /// does.</summary>
    [Fact]
    public void Types_that_no_other_project_needs_are_internal()
    {
        var words = SourceFile.Below("SpotServe.Node", ".cs")
            .Concat(SourceFile.Below("SpotServe.Seed", ".cs"))
            .Concat(SourceFile.Below("SpotServe.Seed", ".razor"))
            .SelectMany(file => file.Lines).SelectMany(line => Word().Matches(line)).Select(word => word.Value)
            .ToHashSet();
        var all = Actors.GetExportedTypes().Where(type => type.DeclaringType is null).ToList();
        var needed = new HashSet<Type>();
        var open = new Stack<Type>(all.Where(type => IsNamed(type, words)));
        while (open.TryPop(out var type))
        {
            if (!needed.Add(type)) continue;
            foreach (var other in NeededBy(type)) open.Push(other);
        }

        Assert.Contains(needed, type => !words.Contains(NameOf(type)));
        Violations.AreNone(all.Where(type => !needed.Contains(type)).Select(type => type.FullName!));
    }

    /// <summary>By its own name, or one of its extension methods.</summary>
    private static bool IsNamed(Type type, HashSet<string> words) =>
        words.Contains(NameOf(type))
        || type.GetMethods().Any(method => method.IsDefined(typeof(ExtensionAttribute)) && words.Contains(method.Name));

    private static string NameOf(Type type) => type.Name.Split('`')[0];

    /// <summary>Types of the same project in what others see of a type, its nested ones included.</summary>
    private static IEnumerable<Type> NeededBy(Type type)
    {
        var members = type.GetMethods(Declared).Where(IsSeen).SelectMany(Signature)
            .Concat(type.GetConstructors(Declared).Where(IsSeen).SelectMany(Signature))
            .Concat(type.GetFields(Declared).Where(field => field.IsPublic || field.IsFamily)
                .Select(field => field.FieldType))
            .Concat(type.GetInterfaces())
            .Concat(type.GetGenericArguments().Where(argument => argument.IsGenericParameter)
                .SelectMany(argument => argument.GetGenericParameterConstraints()))
            .Append(type.BaseType);
        var nested = type.GetNestedTypes(Declared).Where(inner => inner.IsNestedPublic || inner.IsNestedFamily);
        return members.OfType<Type>().SelectMany(Parts).Where(part => part.Assembly == Actors).Select(Outermost)
            .Concat(nested.SelectMany(NeededBy));
    }

    private static bool IsSeen(MethodBase method) =>
        method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static IEnumerable<Type> Signature(MethodBase method)
    {
        var types = method.GetParameters().Select(parameter => parameter.ParameterType);
        return method is MethodInfo { ReturnType: var returned } ? types.Append(returned) : types;
    }

    /// <summary>List of T is list and T.</summary>
    private static IEnumerable<Type> Parts(Type type)
    {
        if (type.GetElementType() is { } element) return Parts(element);
        if (type.IsGenericParameter) return type.GetGenericParameterConstraints().SelectMany(Parts);
        return type.IsGenericType
            ? type.GetGenericArguments().Where(argument => !argument.IsGenericParameter).SelectMany(Parts)
                .Append(type.GetGenericTypeDefinition())
            : [type];
    }

    private static Type Outermost(Type type) => type.DeclaringType is { } outer ? Outermost(outer) : type;

    [GeneratedRegex(@"\w+")]
    private static partial Regex Word();
}
