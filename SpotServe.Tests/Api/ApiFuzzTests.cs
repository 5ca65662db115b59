using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using CsCheck;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>Whatever bytes come in, the answer comes soon and is never the server's fault.</summary>
public sealed class ApiFuzzTests
{
    private static readonly string[] Paths =
    [
        "/v1/completions", "/admin/layout", "/admin/nodes/a/preempt", "/v1/requests/cmpl-1", "/v1/models", "/health",
        "/v1/models/x", "/", "/ready",
    ];

    private static readonly string[] Names =
    [
        "prompt", "max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "stream", "stream_options", "n",
        "model", "user", "logit_bias", "echo", "suffix", "logprobs", "ignore_eos", "include_usage", "layout", "é", "",
    ];

    private static readonly string[] Beginnings =
    [
        "", "GET / HTTP/1.1\r\n", "POST /v1/completions HTTP/1.1\r\nHost: x\r\n",
        "GET /v1/requests/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];

    private static readonly Gen<string> Scalar = Gen.OneOf(
        Gen.Const("null"), Gen.Const("true"), Gen.Const("false"), Gen.Const("1e999"), Gen.Const("-0"), Gen.Const("{}"),
        Gen.Const("[]"), Gen.Const("\"\\ud800\""), Gen.Const("\"1,2,2\""), Gen.Const("9223372036854775808"),
        Gen.Int.Select(i => $"{i}"), Gen.Double[-10, 10].Select(d => d.ToString("R", null)),
        Gen.String[Gen.Char['a', 'z'], 0, 9].Select(s => $"\"{s}\""));

    private static readonly Gen<string> Value = Gen.OneOf(
        Scalar,
        Scalar.Array[0, 4].Select(items => $"[{string.Join(',', items)}]"),
        Gen.Select(Gen.OneOfConst(Names), Scalar).Array[0, 3].Select(Object));

    private static readonly Gen<byte[]> Body = Gen.OneOf(
        Gen.Byte.Array[0, 64],
        Gen.Select(Gen.OneOfConst(Names), Value).Array[0, 5].Select(Object).Select(Encoding.UTF8.GetBytes),
        // A body with one byte changed is closer to a right one than any that is made of chance alone.
        Gen.Select(Gen.Select(Gen.OneOfConst(Names), Value).Array[1, 4].Select(Object), Gen.Int[0, 200], Gen.Byte)
            .Select((text, at, value) =>
            {
                var bytes = Encoding.UTF8.GetBytes(text);
                bytes[at % bytes.Length] = value;
                return bytes;
            }));

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Any_body_on_any_path_is_answered_and_never_with_a_fault_of_the_server()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens([300, 301]);

        await Gen.Select(
            Gen.OneOfConst(Paths),
            Gen.OneOfConst("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "BREW"),
            Gen.OneOfConst("application/json", "application/json", "text/plain", ""),
            Body).SampleAsync(
            async (path, method, type, body) =>
            {
                using var request = new HttpRequestMessage(new HttpMethod(method), path);
                request.Content = new ByteArrayContent(body);
                if (type.Length > 0) request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
                using var response = await server.Client.SendAsync(request, Cancel);
                var answer = await response.Content.ReadAsStringAsync(Cancel);
                Assert.True(IsNoFault(response.StatusCode), $"{response.StatusCode}: {answer}");
                Assert.DoesNotContain("   at ", answer, StringComparison.Ordinal);
            },
            iter: 2000, threads: 1);
    }

    [Fact]
    public async Task Any_bytes_in_place_of_a_request_are_no_fault_of_the_server_and_the_next_client_is_served()
    {
        await using var server = await ApiServer.StartAsync();

        await Gen.Select(Gen.OneOfConst(Beginnings), Gen.Byte.Array[0, 200]).SampleAsync(
            async (start, rest) =>
            {
                var answer = await ExchangeAsync(
                    server.Client.BaseAddress!.Port, [.. Encoding.ASCII.GetBytes(start), .. rest]);
                Assert.DoesNotContain("HTTP/1.1 5", answer, StringComparison.Ordinal);
            },
            iter: 300, threads: 1);

        var (response, _) = await server.GetAsync("/health");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    private static bool IsNoFault(HttpStatusCode status) =>
        (int)status < 500 || status == HttpStatusCode.ServiceUnavailable;

    private static async Task<string> ExchangeAsync(int port, byte[] bytes)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(IPAddress.Loopback, port, Cancel);
        await using var stream = socket.GetStream();
        try
        {
            await stream.WriteAsync(bytes, Cancel);
            socket.Client.Shutdown(SocketShutdown.Send);
            using var reader = new StreamReader(stream, Encoding.Latin1);
            return await reader.ReadToEndAsync(Cancel);
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            return "";   // The server closed the connection while there was more to read.
        }
    }

    private static string Object((string Name, string Value)[] members) =>
        "{" + string.Join(',', members.Select(m => $"\"{m.Name}\":{m.Value}")) + "}";
}
