using System.Reflection;
using System.Reflection.Emit;
using SpotServe.Node.Engine;
using TorchSharp;
using Xunit;

namespace SpotServe.Tests.Tidy;

/// <summary>
/// TorchSharp gives libtorch the address of a <see cref="Scalar"/> and does not keep it: one that nobody else holds may
/// be freed by a garbage collection while libtorch reads it. So the engine makes them in one place, where each is held
/// until its operation is done, and calls nothing that makes one inside TorchSharp.
/// </summary>
public sealed class ScalarLifetimeTests
{
    private const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static
        | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<short, OpCode> Codes = typeof(OpCodes).GetFields()
        .Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => code.Value);

    private readonly Dictionary<MethodBase, bool> _makesScalar = [];

    [Fact]
    public void Engine_holds_every_number_that_it_gives_to_libtorch()
    {
        var calls = MethodsOf(typeof(TensorArithmetic).Assembly)
            .SelectMany(caller => CallsOf(caller).Select(callee => (Caller: caller, Callee: callee))).ToList();

        Assert.Contains(calls, call => IsConversion(call.Callee));
        Violations.AreNone(calls.Where(IsLoose).Select(call =>
            $"{call.Caller.DeclaringType}.{call.Caller.Name} calls {call.Callee.DeclaringType}: {call.Callee}"));
    }

    [Fact]
    public void Operations_that_make_a_number_of_their_own_are_known() =>
        Assert.True(MakesScalar(typeof(torch.Tensor).GetMethod("add_", [typeof(torch.Tensor)])!));

    private bool IsLoose((MethodBase Caller, MethodBase Callee) call) => IsConversion(call.Callee)
        ? call.Caller.DeclaringType != typeof(TensorArithmetic)
        : IsOfTorch(call.Callee) && MakesScalar(call.Callee);

    private bool MakesScalar(MethodBase method)
    {
        if (_makesScalar.TryGetValue(method, out var known)) return known;
        _makesScalar[method] = false;   // of one that calls itself
        return _makesScalar[method] = CallsOf(method).Any(callee => IsConversion(callee)
            || (IsOfTorch(callee) && callee.DeclaringType != typeof(Scalar) && MakesScalar(callee)));
    }

    private static bool IsConversion(MethodBase method) =>
        (method.DeclaringType == typeof(Scalar) && method.Name is ("op_Implicit" or ".ctor"))
        || method.DeclaringType == typeof(ScalarExtensionMethods);

    private static bool IsOfTorch(MethodBase method) => method.Module.Assembly == typeof(torch).Assembly;

    private static IEnumerable<MethodBase> MethodsOf(Assembly assembly) => assembly.GetTypes()
        .SelectMany(type => type.GetMethods(All).Concat<MethodBase>(type.GetConstructors(All)));

    private static IEnumerable<MethodBase> CallsOf(MethodBase method)
    {
        var code = method.GetMethodBody()?.GetILAsByteArray() ?? [];
        var typeArguments = method.DeclaringType is { IsGenericType: true } type ? type.GetGenericArguments() : [];
        var arguments = method is MethodInfo { IsGenericMethod: true } ? method.GetGenericArguments() : [];
        for (var at = 0; at < code.Length;)
        {
            var operation = code[at] == 0xFE ? Codes[(short)((0xFE << 8) | code[at + 1])] : Codes[code[at]];
            at += operation.Size;
            if (operation.OperandType == OperandType.InlineMethod
                && method.Module.ResolveMethod(BitConverter.ToInt32(code, at), typeArguments, arguments) is { } callee)
            {
                yield return callee;
            }

            at += LengthOf(operation.OperandType, code, at);
        }
    }

    private static int LengthOf(OperandType operand, byte[] code, int at) => operand switch
    {
        OperandType.InlineNone => 0,
        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
        OperandType.InlineVar => 2,
        OperandType.InlineI8 or OperandType.InlineR => 8,
        OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(code, at)),
        _ => 4,
    };
}
