using System.Runtime.CompilerServices;
using SpotServe.Node.Engine;

namespace SpotServe.Tests.Engine;

/// <summary>Has the node's program set what it sets at its start at the start of the tests: later, other tests' threads
/// would read the environment while it is moved.</summary>
internal static class NativeSettings
{
    [ModuleInitializer]
    internal static void Set() => RuntimeHelpers.RunModuleConstructor(typeof(TorchNative).Module.ModuleHandle);
}
