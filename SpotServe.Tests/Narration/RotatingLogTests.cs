using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using System.Text.Json;
using System.Text.RegularExpressions;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Persistence;
using SpotServe.Seed.Narration;
using Xunit;

namespace SpotServe.Tests.Narration;

public sealed class RotatingLogTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("spotserve-log-");
    private readonly ManualClock _clock = new();

    private string LogPath => Path.Combine(_folder.FullName, "logs", "seed.log");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Log_of_the_next_process_goes_on_where_the_last_one_stopped()
    {
        Write("what came before the crash");
        Write("what came after it");

        var lines = File.ReadAllLines(LogPath);

        Assert.Equal(4, lines.Length);
        Assert.Contains($"process {Environment.ProcessId} begins", lines[0], StringComparison.Ordinal);
        Assert.Equal("what came before the crash", lines[1]);
        Assert.Equal("what came after it", lines[3]);
    }

    [Fact]
    public void Old_files_are_numbered_and_the_oldest_goes_with_a_count_of_what_was_in_it()
    {
        var options = new RotatingLogOptions { FileBytesMax = 1000, FilesMax = 3 };
        for (var part = 0; part < 8; part++)
            Write(options, [.. Enumerable.Range(0, 10).Select(i => $"line {part} {i} {new string('x', 50)}")]);

        var files = _folder.GetFiles("*", SearchOption.AllDirectories).OrderBy(file => file.Name).ToArray();
        var text = string.Concat(files.Select(file => File.ReadAllText(file.FullName)));
        var first = File.ReadLines(LogPath).First();

        Assert.Equal(["seed.1.log", "seed.2.log", "seed.log"], files.Select(file => file.Name));
        Assert.All(files, file => Assert.True(file.Length <= 1000, $"{file.Name} has {file.Length} bytes"));
        Assert.Contains("line 7 9 ", text, StringComparison.Ordinal);
        Assert.DoesNotContain("line 0 0 ", text, StringComparison.Ordinal);
        Assert.Matches(new Regex("goes on from seed.1.log; [1-9][0-9]* older bytes were deleted"), first);
    }

    [Fact]
    [SupportedOSPlatform("linux")]
    public void Only_the_owner_can_read_logs_and_journal_even_where_others_could_before()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(LogPath)!);
        File.WriteAllText(LogPath, "of an older version\n");
        var data = Path.Combine(_folder.FullName, "data");

        Write("line");
        var journal = JournalOptions.Sqlite(data);
        journal.Prepare();
        using var connection = new Microsoft.Data.Sqlite.SqliteConnection(journal.ConnectionString);
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "CREATE TABLE t (x)";
        command.ExecuteNonQuery();

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(LogPath));
        Assert.Equal(
            UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(data));
        var files = Directory.GetFiles(data);
        Assert.Contains(files, file => file.EndsWith("-wal", StringComparison.Ordinal));
        Assert.All(files, file => Assert.Equal(
            UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file)));
    }

    [Fact]
    public void Writer_that_outruns_the_disk_neither_waits_nor_grows_and_the_file_says_how_much_is_missing()
    {
        const int Lines = 20_000;
        Write(
            new RotatingLogOptions { WaitingCharactersMax = 2_000 },
            [.. Enumerable.Range(0, Lines).Select(i => $"line {i:00000}"), .. Enumerable.Repeat("", 3)]);

        var text = File.ReadAllText(LogPath);
        var kept = Regex.Count(text, "^line ", RegexOptions.Multiline);
        var dropped = Regex.Matches(text, "([0-9]+) lines were dropped here")
            .Sum(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));

        Assert.True(kept < Lines);
        Assert.InRange(kept + dropped, Lines - 200, Lines + 3);   // those after the last note cannot be in it
    }

    [Fact]
    public void Folder_that_vanishes_costs_lines_and_nothing_else_and_the_log_goes_on_when_it_is_back()
    {
        using (var log = new RotatingLog(LogPath, new RotatingLogOptions { FileBytesMax = 300 }, _clock))
        {
            _folder.Delete(recursive: true);
            // The open file takes one of them; the second has it rotate, which fails without a folder.
            log.Write(new string('x', 200));
            log.Write(new string('x', 200));
            var begun = Stopwatch.GetTimestamp();
            while (log.LinesDropped == 0)
            {
                Assert.True(Stopwatch.GetElapsedTime(begun) < Waits.Max, "no line was dropped");
                Thread.Yield();
            }

            Directory.CreateDirectory(Path.GetDirectoryName(LogPath)!);
            _clock.Advance(TimeSpan.FromSeconds(2));
            log.Write("still here");
        }

        Assert.EndsWith("still here\n", File.ReadAllText(LogPath), StringComparison.Ordinal);
        Assert.Contains("lines were dropped here: ", File.ReadAllText(LogPath), StringComparison.Ordinal);
    }

    [Fact]
    public void Longest_line_is_cut_and_says_so()
    {
        Write(new RotatingLogOptions { LineCharactersMax = 100 }, [new string('a', 1_000)]);

        Assert.Equal($"{new string('a', 100)} [and 900 characters more]", File.ReadAllLines(LogPath)[1]);
    }

    [Fact]
    public void Log_for_programs_has_nothing_but_objects_its_own_lines_included()
    {
        var options = new RotatingLogOptions { FileBytesMax = 400, Format = LogFormat.Json };
        for (var part = 0; part < 4; part++) Write(options, [.. Enumerable.Repeat("""{"area":"Planner"}""", 10)]);

        var areas = _folder.GetFiles("*.log", SearchOption.AllDirectories)
            .SelectMany(file => File.ReadAllLines(file.FullName))
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("area").GetString());

        Assert.Equal(["Log", "Planner"], areas.Distinct().Order());
    }

    private void Write(params string[] lines) => Write(new RotatingLogOptions(), lines);

    private void Write(RotatingLogOptions options, string[] lines)
    {
        using var log = new RotatingLog(LogPath, options, _clock);
        foreach (var line in lines) log.Write(line);
    }
}
