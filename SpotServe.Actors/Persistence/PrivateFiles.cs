namespace SpotServe.Actors.Persistence;

/// <summary>
/// Files and folders that only their owner may read: prompts and texts are in the journal, and addresses, prompts'
/// lengths and errors in logs. What is there already with wider permissions is narrowed, files only: a folder that
/// somebody else made may be shared with a purpose.
/// </summary>
public static class PrivateFiles
{
    private const UnixFileMode File0600 = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode Folder0700 = File0600 | UnixFileMode.UserExecute;

    /// <summary>Makes a folder where it is missing, and those above it.</summary>
    public static void CreateFolder(string path)
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(path);
        else Directory.CreateDirectory(path, Folder0700);
    }

    /// <summary>Opens a file to append to it, shared for reading and renaming.</summary>
    public static FileStream Append(string path) =>
        Open(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);

    /// <summary>Opens a file, making it where it is missing. Writes are not held back in a buffer.</summary>
    public static FileStream Open(string path, FileMode mode, FileAccess access, FileShare share)
    {
        var options = new FileStreamOptions { Mode = mode, Access = access, Share = share, BufferSize = 0 };
        if (OperatingSystem.IsWindows()) return new FileStream(path, options);
        options.UnixCreateMode = File0600;
        var file = new FileStream(path, options);
        Narrow(path);
        return file;
    }

    private static void Narrow(string path)
    {
        if (OperatingSystem.IsWindows()) return;
        try
        {
            var mode = File.GetUnixFileMode(path);
            if ((mode & ~Folder0700) != 0) File.SetUnixFileMode(path, mode & Folder0700);
        }
        catch (UnauthorizedAccessException)
        {
            // Another user's file, which an administrator lets this one use: its permissions are his.
        }
    }
}
