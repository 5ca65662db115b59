using System.Diagnostics;
using Npgsql;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>A PostgreSQL server of a test's own, on a unix socket in a temporary folder: one that it may restart. Needs
/// Debian's postgresql; gone at the end.</summary>
internal sealed class PostgresServer : IAsyncDisposable
{
    private const string Root = "/usr/lib/postgresql";
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("spotserve-pg-");
    private readonly string _programs;

    private PostgresServer(string programs) => _programs = programs;

    public string Connection => $"Host={_folder.FullName};Username=spotserve;Database=postgres";

    private string Data => Path.Combine(_folder.FullName, "data");

    /// <summary>Skips the test where PostgreSQL is not installed.</summary>
    public static async Task<PostgresServer> StartAsync()
    {
        var programs = Directory.Exists(Root)
            ? Directory.GetDirectories(Root).Order().Select(version => Path.Combine(version, "bin")).LastOrDefault()
            : null;
        if (programs is null) Assert.Skip($"PostgreSQL is not in {Root}; apt-get install postgresql puts it there.");
        var server = new PostgresServer(programs);
        // It does not run as root, and so must own its folder.
        if (Environment.UserName == "root") await RunAsync("chown", "postgres", server._folder.FullName);
        await server.AsOwnerAsync("initdb", "-D", server.Data, "-U", "spotserve", "-A", "trust", "--no-sync");
        await server.ControlAsync("start");
        return server;
    }

    /// <summary>Ends all sessions and starts anew.</summary>
    public Task RestartAsync() => ControlAsync("restart", "-m", "fast");

    /// <summary>What the database takes on disk.</summary>
    public async Task<long> BytesAsync()
    {
        await using var connection = new NpgsqlConnection(Connection);
        await connection.OpenAsync();
        await using var size = new NpgsqlCommand("SELECT pg_database_size('postgres')", connection);
        return (long)(await size.ExecuteScalarAsync())!;
    }

    public async ValueTask DisposeAsync()
    {
        await ControlAsync("stop", "-m", "immediate");
        _folder.Delete(recursive: true);
    }

    private Task ControlAsync(params string[] order) => AsOwnerAsync(
        "pg_ctl",
        [
            "-D", Data, "-l", Path.Combine(_folder.FullName, "log"), "-w", "-t", "60", "-s",
            "-o", $"-k {_folder.FullName} -c listen_addresses='' -c max_connections=300", .. order,
        ]);

    private Task AsOwnerAsync(string program, params string[] arguments)
    {
        string[] command = [Path.Combine(_programs, program), .. arguments];
        return Environment.UserName == "root"
            ? RunAsync("runuser", ["-u", "postgres", "--", .. command])
            : RunAsync(command[0], command[1..]);
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        // Its output is nobody's: the server would hold a pipe open for as long as it runs.
        using var process = Process.Start(new ProcessStartInfo(
            "sh", ["-c", "exec \"$@\" >/dev/null 2>&1", "sh", program, .. arguments]))!;
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: exit code {process.ExitCode}");
    }
}
