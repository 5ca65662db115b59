using SpotServe.Actors.Simulation;
using SpotServe.Seed.Commands.Simulating;
using Xunit;

namespace SpotServe.Tests.Evaluation;

public sealed class TraceReaderTests
{
    [Theory]
    [InlineData("""
        [0, "add", {"nodes": ["a", "b"]}]
        [60000, "remove", {"nodes": ["a"]}]
        [90000, "DONE", {"nodes": []}]
        """, "0:2 60:1", 90)]
    [InlineData("0,add,a\n0,add,b\n60000,remove,a\n90000,add,c", "0:2 60:1 90:2", 90)]
    [InlineData("0,2\n60,2\n60,1\n90,1\n", "0:2 60:1", 90 * 3600)]
    [InlineData("seconds,machines\n0,2\n60,1\n90,1\n", "0:2 60:1", 90)]
    [InlineData("""{"metadata": {"gap_seconds": 30}, "data": [2, 2, 1]}""", "0:2 60:1", 90)]
    public void Machines_are_read_from_every_published_form(string text, string counts, double end)
    {
        var read = AvailabilityReader.Read("file", text);
        var unit = end > 3600 ? 3600 : 1;

        Assert.Equal(counts, string.Join(' ', read.Counts().Select(step => $"{step.Seconds / unit}:{step.Count}")));
        Assert.Equal(end, read.EndSeconds);
        Assert.Empty(read.Notes);
    }

    [Theory]
    [InlineData("0,1.5,512,0\n1,3,400,17\n", "1.5:512:128 3:400:128")]
    [InlineData("seconds,prompt_tokens,output_tokens\n1.5,10,20\n", "1.5:10:20")]
    [InlineData("TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.5,10,20\r\n2023-11-16 18:15:48,11,0",
        "0:10:20 1.5:11:1")]
    [InlineData("""{"timestamp": 1500, "input_length": 10, "output_length": 20, "hash_ids": [1]}""", "1.5:10:20")]
    public void Requests_are_read_from_every_published_form(string text, string requests)
    {
        var (arrivals, notes) = ArrivalReader.Read("file", text);

        Assert.Equal(requests, string.Join(' ', arrivals.Select(a => FormattableString.Invariant(
            $"{a.Seconds}:{a.PromptTokens}:{a.OutputTokens}"))));
        Assert.Empty(notes);
    }

    [Theory]
    [InlineData("0,add,a\n1,add,a\n", "file, line 2: a is added twice")]
    [InlineData("0,add,a\n1,remove,b\n", "file, line 2: b is removed and is not there")]
    [InlineData("5,add,a\n1,remove,a\n", "file, line 2: the time goes backwards")]
    [InlineData("0,add,a\n\nx,remove,a\n", "file, line 3: The time is \"x\"")]
    [InlineData("[0, \"add\", {\"nodes\": [\"a\"]}]\n[1, \"add\"\n", "file, line 2: it is no JSON")]
    [InlineData("[0, \"grow\", {\"nodes\": []}]", "file, line 1: the event is \"grow\"")]
    [InlineData("[0, \"add\", {\"nodes\": 7}]", "file, line 1: nodes is no list of names")]
    [InlineData("{\"data\": [1]}", "file, line 1: metadata.gap_seconds or data is missing")]
    [InlineData("seconds,machines\n0,x", "file, line 2: The number of machines is \"x\"")]
    [InlineData("{\"metadata\": 7, \"data\": [1]}", "file, line 1: metadata.gap_seconds or data is missing")]
    [InlineData("{\"metadata\": {\"gap_seconds\": 1}, \"data\": []}", "file, line 1: metadata.gap_seconds or data")]
    [InlineData("{\"metadata\": {\"gap_seconds\": 0}, \"data\": [1]}", "file, line 1: gap_seconds is 0")]
    [InlineData("{\"metadata\": {\"gap_seconds\": 1}, \"data\": [-1]}", "file, line 1: data[0] is \"-1\"")]
    [InlineData("seconds,machines\r\n0,1\r\n-5,2\r\n", "file, line 3: The time is \"-5\"")]
    [InlineData("seconds,machines\n0,1\nNaN,2", "file, line 3: The time is \"NaN\"")]
    [InlineData("seconds,machines\n0,1\n1e300,2", "file, line 3: The time is \"1e300\"")]
    [InlineData("seconds,machines\n", "file, line 1: there is no row")]
    [InlineData("0,2\n1,3.x", "file, line 2: The number of machines is \"3.x\"")]
    [InlineData("0,2\n1,NaN", "file, line 2: The number of machines is \"NaN\"; it must be a whole number of 0 to")]
    [InlineData("0,add,a\n1,add,\n", "file, line 2: \"1,add,\" names no machine")]
    [InlineData("0,add,a\n1,destroy,a\n", "file, line 2: \"1,destroy,a\" is no event")]
    [InlineData("seconds,machines,price\n0,1,2\n", "file, line 1: the header is \"seconds,machines,price\"")]
    [InlineData("[\"zero\", \"add\", {\"nodes\": [\"a\"]}]", "file, line 1: \"[")]
    [InlineData("[1e999, \"add\", {\"nodes\": [\"a\"]}]", "file, line 1: The time is \"1e999\"")]
    [InlineData("[0, \"add\", {\"nodes\": [\"a\"]}]\n[5", "file, line 2: it is no JSON; ")]
    [InlineData("{\"metadata\": {\"gap_seconds\": 1},\n\"data\": [1, [3],\n2.5]}", "file, line 2: data[1] is \"[3]\"")]
    [InlineData("{\"metadata\": {\"gap_seconds\": 1},\n\"data\": [1,\n\n2.5]}", "file, line 4: data[1] is \"2.5\"")]
    [InlineData("hello", "file, line 1: \"hello\" is of no known form")]
    [InlineData("", "file: the file is empty")]
    [InlineData("\r\n # nothing\r\n", "file: the file is empty")]
    public void A_malformed_trace_of_machines_names_file_and_line(string text, string message)
    {
        var error = Assert.Throws<TraceException>(() => AvailabilityReader.Read("file", text));

        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("seconds,prompt_tokens,output_tokens\n1,2\n", "file, line 2: \"1,2\" has 2 fields")]
    [InlineData("seconds,prompt_tokens,output_tokens\n1,0,2\n", "file, line 2: The prompt's length is \"0\"")]
    [InlineData("0,2,512,0\n1,1,512,0", "file, line 2: the time goes backwards")]
    [InlineData("TIMESTAMP,ContextTokens,GeneratedTokens\nnow,1,2", "file, line 2: the time is \"now\"")]
    [InlineData("{\"timestamp\": 1}", "file, line 1: timestamp, input_length or output_length is missing")]
    [InlineData("hello", "file, line 1: \"hello\" is of no known form")]
    public void A_malformed_trace_of_requests_names_file_and_line(string text, string message)
    {
        var error = Assert.Throws<TraceException>(() => ArrivalReader.Read("file", text));

        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_line_without_an_end_is_refused_by_its_length()
    {
        var text = "seconds,machines\n0," + new string('1', TraceText.LineMax);

        var error = Assert.Throws<TraceException>(() => AvailabilityReader.Read("file", text));

        Assert.StartsWith("file, line 2: it has ", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { 0x1f, 0x8b, 8, 0, 1 }, "is packed (gzip); unpack it first: gunzip")]
    [InlineData(new byte[] { 0x50, 0x4b, 3, 4 }, "is packed (zip)")]
    [InlineData(new byte[] { 48, 44, 0, 49 }, "is no text")]
    public void A_file_that_is_no_text_is_refused_by_what_it_is(byte[] bytes, string expected)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, bytes);
            var error = Assert.Throws<IOException>(() => PaperFiles.Text(path));
            Assert.Contains(expected, error.Message, StringComparison.Ordinal);
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_byte_order_mark_is_no_part_of_the_text()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, "seconds,machines\r\n0,2\r\n60,1\r\n", new System.Text.UTF8Encoding(true));
            Assert.Equal(60, AvailabilityReader.Read(path, PaperFiles.Text(path)).EndSeconds);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Keys_that_are_not_known_are_listed()
    {
        var read = AvailabilityReader.Read("file", """[0, "add", {"nodes": ["a"], "colour": 1, "size": 2}]""");

        Assert.Equal(
            [
                "file: the key colour is not known and was passed over",
                "file: the key size is not known and was passed over",
            ],
            read.Notes);
    }

    [Fact]
    public void Every_trace_beside_the_checkout_can_be_read()
    {
        var root = Golden.Checkout.Shared("traces");
        var requests = new[] { "arrivals", "azure-llm-2023", "mooncake" };
        string[] skipped = ["maf_rescaled_arrival-rates.csv", "paper_reported_results.csv"];

        foreach (var file in Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories).Order()
            .Where(file => Path.GetExtension(file) is ".txt" or ".csv" or ".json" or ".jsonl"))
        {
            var folder = Path.GetFileName(Path.GetDirectoryName(file)!);
            if (skipped.Contains(Path.GetFileName(file)) || file.Contains("profiles", StringComparison.Ordinal)
                || folder == "third-party-samples") continue;
            var text = File.ReadAllText(file);
            if (requests.Contains(folder)) Assert.NotEmpty(ArrivalReader.Read(file, text).Arrivals);
            else Assert.NotEmpty(AvailabilityReader.Read(file, text).Changes);
        }
    }
}
