using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Node.Bench;

/// <summary>iperf3's single stream over loopback, where that program is installed.</summary>
internal static class Iperf
{
    private const string Program = "iperf3";
    private const string Address = "127.0.0.1";
    private static readonly TimeSpan RunMax = TimeSpan.FromMinutes(2);

    /// <summary>Most that iperf3 sends at once.</summary>
    private const int PieceBytesMax = 1024 * 1024;

    /// <summary>Sends so many bytes from one process to another.</summary>
    /// <param name="pieceBytes">Sent at once, as far as iperf3 can; null leaves it to iperf3.</param>
    /// <returns>GB/s as the receiver saw it; null when iperf3 is not installed.</returns>
    /// <exception cref="InvalidDataException">It ran and failed.</exception>
    public static async Task<double?> RunAsync(long bytes, int? pieceBytes, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(RunMax);
        var port = FreePort();
        if (Start("-s", "-1", "-B", Address, "-p", port, "--forceflush") is not { } server) return null;
        using (server)
        {
            try
            {
                // It says that it listens: its second line, between two rules.
                while (await server.StandardOutput.ReadLineAsync(limit.Token).ConfigureAwait(false) is { } line)
                {
                    if (line.Contains("listening", StringComparison.OrdinalIgnoreCase)) break;
                }

                string[] length = pieceBytes is { } piece ? ["-l", Text(Math.Min(piece, PieceBytesMax))] : [];
                using var client = Start(["-c", Address, "-p", port, "-n", Text(bytes), "-J", .. length])!;
                var report = await client.StandardOutput.ReadToEndAsync(limit.Token).ConfigureAwait(false);
                await client.WaitForExitAsync(limit.Token).ConfigureAwait(false);
                return ReceivedRate(report);
            }
            finally
            {
                if (!server.HasExited) server.Kill();
            }
        }
    }

    private static double ReceivedRate(string report)
    {
        using var json = JsonTexts.Parse(report);
        if (json.RootElement.TryGetProperty("error", out var error))
        {
            throw new InvalidDataException($"{Program} failed: {JsonTexts.Of(error)}");
        }

        return json.RootElement.GetProperty("end").GetProperty("sum_received")
            .GetProperty("bits_per_second").GetDouble() / 8 / 1e9;
    }

    private static string FreePort()
    {
        using var socket = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        socket.Start();
        return Text(((System.Net.IPEndPoint)socket.LocalEndpoint).Port);
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static Process? Start(params string[] arguments)
    {
        try
        {
            return Process.Start(new ProcessStartInfo(Program, arguments) { RedirectStandardOutput = true });
        }
        catch (Win32Exception)
        {
            return null;
        }
    }
}
