using System.Collections.Frozen;
using System.IO.MemoryMappedFiles;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Node.Weights;

/// <summary>Where a tensor lies in its file.</summary>
/// <param name="Type">Null for a type that holds no weights (integers, float8).</param>
/// <param name="Offset">Bytes from the start of the file.</param>
public sealed record StoredTensor(string Name, ElementType? Type, IReadOnlyList<long> Shape, long Offset, long Bytes);

/// <summary>
/// A safetensors file, mapped into memory: 8 bytes of header length, the header in JSON, then the tensors without
/// gaps. The header is not trusted: every offset is checked before any tensor is touched.
/// </summary>
public sealed unsafe class SafetensorsFile : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly long _length;
    private readonly DateTime _written;
    private readonly MemoryMappedFile _map;
    private readonly SafeMemoryMappedViewHandle _view;
    private readonly byte* _start;
    private bool _disposed;

    private SafetensorsFile(
        string path, SafeFileHandle file, MemoryMappedFile map, SafeMemoryMappedViewHandle view, byte* start,
        FrozenDictionary<string, StoredTensor> tensors, string headerHash)
    {
        Path = path;
        _file = file;
        _length = RandomAccess.GetLength(file);
        _written = File.GetLastWriteTimeUtc(file);
        _map = map;
        _view = view;
        _start = start;
        Tensors = tensors;
        HeaderHash = headerHash;
    }

    public string Path { get; }

    public FrozenDictionary<string, StoredTensor> Tensors { get; }

    /// <summary>SHA-256 of the header, in hexadecimal.</summary>
    public string HeaderHash { get; }

    /// <summary>Maps and checks a file; reads nothing but its header.</summary>
    /// <exception cref="ModelFormatException">The file is missing, truncated, or its header lies.</exception>
    public static SafetensorsFile Open(string path)
    {
        if (!File.Exists(path)) throw new ModelFormatException($"{path}: the weight file is missing.");
        var file = File.OpenHandle(path);
        MemoryMappedFile? map = null;
        SafeMemoryMappedViewHandle? view = null;
        byte* start = null;
        try
        {
            var length = RandomAccess.GetLength(file);
            if (length < SafetensorsHeader.PrefixBytes)
                throw new ModelFormatException($"{path}: has {length} bytes; a safetensors file starts with 8.");
            map = MemoryMappedFile.CreateFromFile(
                file, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            var accessor = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            view = accessor.SafeMemoryMappedViewHandle;
            view.AcquirePointer(ref start);
            var header = SafetensorsHeader.Slice(path, new ReadOnlySpan<byte>(start, 8), length);
            var text = new ReadOnlySpan<byte>(start + SafetensorsHeader.PrefixBytes, header);
            var tensors = SafetensorsHeader.Parse(path, text, SafetensorsHeader.PrefixBytes + header, length);
            return new SafetensorsFile(
                path, file, map, view, start, tensors, Convert.ToHexStringLower(SHA256.HashData(text)));
        }
        catch
        {
            if (start is not null) view!.ReleasePointer();
            view?.Dispose();
            map?.Dispose();
            file.Dispose();
            throw;
        }
    }

    /// <summary>First byte of a tensor. Valid until disposal.</summary>
    /// <remarks>A file that is renamed or deleted stays as it was. One that is cut short while it is read ends the
    /// process (SIGBUS), so what was changed before is refused here.</remarks>
    /// <exception cref="ModelFormatException">The file was written to since it was opened.</exception>
    internal byte* Pointer(StoredTensor tensor)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (RandomAccess.GetLength(_file) != _length || File.GetLastWriteTimeUtc(_file) != _written)
        {
            throw new ModelFormatException(
                $"{Path}: was written to while it was in use. Replace a model's files by renaming new ones over them, "
                + "or use another folder; then start the node again.");
        }

        return _start + tensor.Offset;
    }

    /// <summary>Keeps the mapping beyond disposal, until the result is disposed of.</summary>
    internal IDisposable Hold()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return new Held(_view);
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _view.ReleasePointer();
        _view.Dispose();
        _map.Dispose();
        _file.Dispose();
    }

    private sealed class Held : IDisposable
    {
        private SafeMemoryMappedViewHandle? _view;

        public Held(SafeMemoryMappedViewHandle view)
        {
            byte* start = null;
            view.AcquirePointer(ref start);
            _view = view;
        }

        public void Dispose() => Interlocked.Exchange(ref _view, null)?.ReleasePointer();
    }
}
