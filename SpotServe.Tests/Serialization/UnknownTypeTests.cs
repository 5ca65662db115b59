using System.Buffers.Binary;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.Serialization;
using System.Text;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.Serialization;

/// <summary>
/// A type that is not on the list is neither written nor made, wherever in a message it stands, and its assembly is not
/// even loaded. Each check is seen alone here: the other must not be what refuses.
/// </summary>
public sealed class UnknownTypeTests(HyperionMessageSerializerTests.Node node)
    : IClassFixture<HyperionMessageSerializerTests.Node>
{
    /// <summary>Hyperion's mark of a type that follows by its name.</summary>
    private const byte NamedType = 255;

    /// <summary>The list's fingerprint, then the mark and number of the message's own type.</summary>
    private const int BytesBeforeAnimal = 4 + 3;

    [Fact]
    public void Unknown_record_inside_a_known_message_is_not_written()
    {
        var stranger = MadeElsewhere();

        var error = Assert.Throws<UnknownMessageTypeException>(
            () => node.TestSerializer.ToBinary(new TestProtocol.Cage(stranger)));

        Assert.Equal("Stranger", error.TypeName);
    }

    public static TheoryData<Type> Strangers =>
    [
        typeof(Uri),
        typeof(System.Text.StringBuilder),
        typeof(InvalidOperationException),
        typeof(List<int>),
        typeof(UnknownTypeTests),
        typeof(TestProtocol.Piped),
    ];

    [Theory]
    [MemberData(nameof(Strangers))]
    public void Unknown_type_inside_a_known_message_is_refused_before_it_is_made(Type stranger)
    {
        var bytes = CageOf(ShortName(stranger), content: new byte[64]);

        var error = Refusal(bytes);

        Assert.Contains(stranger.Name, error.TypeName, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Strangers))]
    public void Unknown_type_that_the_process_knows_by_name_already_is_refused_all_the_same(Type stranger)
    {
        // Another serializer of this process has looked the name up, so that no filter is asked for it again.
        var open = new Hyperion.Serializer(Hyperion.SerializerOptions.Default.WithDisallowUnsafeType(false));
        Record.Exception(() => open.Deserialize(new MemoryStream(Named(ShortName(stranger), new byte[64]))));
        var bytes = CageOf(ShortName(stranger), content: new byte[64]);

        Refusal(bytes);
    }

    [Fact]
    public void Assembly_that_the_bytes_name_is_not_loaded()
    {
        string[] candidates = ["System.Net.Mail", "System.Drawing.Primitives", "System.Xml.XPath.XDocument"];
        string[] types =
            ["System.Net.Mail.MailAddress", "System.Drawing.Point", "System.Xml.XPath.XDocumentExtensions"];
        var at = Array.FindIndex(candidates, name => !IsLoaded(name));
        Assert.True(at >= 0, "All of the assemblies that this test could name are loaded; name another one.");
        var bytes = CageOf($"{types[at]}, {candidates[at]}", content: new byte[64]);

        Refusal(bytes);

        Assert.False(IsLoaded(candidates[at]), $"{candidates[at]} was loaded because bytes named it.");
    }

    [Fact]
    public void Cage_with_a_known_animal_is_read() =>
        Assert.Equal(
            new TestProtocol.Cage(new TestProtocol.Cat("Tom")),
            node.TestSerializer.FromBinary(
                node.TestSerializer.ToBinary(new TestProtocol.Cage(new TestProtocol.Cat("Tom"))), typeof(object)));

    /// <summary>Hyperion wraps what refuses a part of a message; how deep does not matter, who refuses does.</summary>
    private UnknownMessageTypeException Refusal(byte[] bytes)
    {
        var error = Assert.ThrowsAny<SerializationException>(
            () => node.TestSerializer.FromBinary(bytes, typeof(object)));
        return Assert.IsType<UnknownMessageTypeException>(error.GetBaseException());
    }

    /// <summary>A message whose field holds what the attacker names in place of an animal.</summary>
    private byte[] CageOf(string typeName, byte[] content)
    {
        var known = node.TestSerializer.ToBinary(new TestProtocol.Cage(new TestProtocol.Cat("Tom")));
        return [.. known.AsSpan(0, BytesBeforeAnimal), .. Named(typeName, content)];
    }

    private static byte[] Named(string typeName, byte[] content)
    {
        var name = Encoding.UTF8.GetBytes(typeName);
        var length = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, name.Length);
        return [NamedType, .. length, .. name, .. content];
    }

    private static string ShortName(Type type) =>
        type.Assembly == typeof(object).Assembly ? $"{type.FullName}, %core%" : type.AssemblyQualifiedName!;

    private static bool IsLoaded(string assembly) =>
        AppDomain.CurrentDomain.GetAssemblies().Any(loaded => loaded.GetName().Name == assembly);

    /// <summary>An animal of an assembly that the list was not made from.</summary>
    private static TestProtocol.IAnimal MadeElsewhere()
    {
        var module = AssemblyBuilder
            .DefineDynamicAssembly(new AssemblyName("Strangers"), AssemblyBuilderAccess.Run)
            .DefineDynamicModule("Strangers");
        var type = module.DefineType(
            "Stranger", TypeAttributes.Public | TypeAttributes.Sealed, typeof(object), [typeof(TestProtocol.IAnimal)]);
        return (TestProtocol.IAnimal)Activator.CreateInstance(type.CreateType())!;
    }
}
