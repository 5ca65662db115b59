using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>Writes a report for people and for programs.</summary>
internal static class ReportWriter
{
    private const int ConsoleWidth = 160;

    private static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    private const string Style =
        "body{font:15px/1.5 sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}"
        + "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .7em;border-bottom:1px solid #ddd;"
        + "text-align:right}td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}";

    public static void ToConsole(Report report, TextWriter output)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
        // Piped output has no width of its own; tables that wrap at 80 columns cannot be read.
        if (console.Profile.Width < ConsoleWidth) console.Profile.Width = ConsoleWidth;
        console.WriteLine(report.Title);
        foreach (var (block, next) in report.Blocks.Zip([.. report.Blocks.Skip(1), null]))
        {
            switch (block)
            {
                // Figures are for files.
                case ReportBlock.Heading when next is null or ReportBlock.Figure:
                    break;
                case ReportBlock.Heading heading:
                    console.WriteLine();
                    console.Write(new Rule(Markup.Escape(heading.Title)).LeftJustified());
                    break;
                case ReportBlock.Text text:
                    console.WriteLine(text.Words);
                    break;
                case ReportBlock.Table rows:
                    var table = new Table().Border(TableBorder.Simple);
                    foreach (var column in rows.Columns) table.AddColumn(new TableColumn(Markup.Escape(column)));
                    foreach (var row in rows.Rows) table.AddRow([.. row.Select(Markup.Escape)]);
                    console.Write(table);
                    break;
                case ReportBlock.Figure:
                    break;
                default:
                    throw new System.Diagnostics.UnreachableException();
            }
        }
    }

    /// <param name="figures">Folder of the figures, as the document names it.</param>
    public static string ToMarkdown(Report report, string figures)
    {
        var text = new StringBuilder().Append("# ").Append(report.Title).Append('\n');
        foreach (var block in report.Blocks)
        {
            text.Append('\n');
            switch (block)
            {
                case ReportBlock.Heading heading:
                    text.Append("## ").Append(heading.Title).Append('\n');
                    break;
                case ReportBlock.Text words:
                    text.Append(words.Words).Append('\n');
                    break;
                case ReportBlock.Table table:
                    text.Append("| ").AppendJoin(" | ", table.Columns).Append(" |\n");
                    text.Append('|').Insert(text.Length, " --- |", table.Columns.Length).Append('\n');
                    foreach (var row in table.Rows) text.Append("| ").AppendJoin(" | ", row).Append(" |\n");
                    break;
                case ReportBlock.Figure figure:
                    text.Append("![").Append(figure.Caption).Append("](").Append(figures).Append('/')
                        .Append(figure.Name).Append(".svg)\n");
                    break;
                default:
                    throw new System.Diagnostics.UnreachableException();
            }
        }

        return text.ToString();
    }

    /// <summary>One file with all pictures in it.</summary>
    public static string ToHtml(Report report)
    {
        var text = new StringBuilder("<!doctype html>\n<meta charset=\"utf-8\">\n<title>")
            .Append(WebUtility.HtmlEncode(report.Title)).Append("</title>\n<style>").Append(Style)
            .Append("</style>\n<h1>").Append(WebUtility.HtmlEncode(report.Title)).Append("</h1>\n");
        foreach (var block in report.Blocks)
        {
            switch (block)
            {
                case ReportBlock.Heading heading:
                    text.Append("<h2>").Append(WebUtility.HtmlEncode(heading.Title)).Append("</h2>\n");
                    break;
                case ReportBlock.Text words:
                    text.Append("<p>").Append(WebUtility.HtmlEncode(words.Words)).Append("</p>\n");
                    break;
                case ReportBlock.Table table:
                    text.Append("<table><tr>");
                    foreach (var column in table.Columns)
                        text.Append("<th>").Append(WebUtility.HtmlEncode(column)).Append("</th>");
                    text.Append("</tr>\n");
                    foreach (var row in table.Rows)
                    {
                        text.Append("<tr>");
                        foreach (var cell in row)
                            text.Append("<td>").Append(WebUtility.HtmlEncode(cell)).Append("</td>");
                        text.Append("</tr>\n");
                    }

                    text.Append("</table>\n");
                    break;
                case ReportBlock.Figure figure:
                    text.Append("<figure>").Append(FigureDrawing.Svg(figure.Data))
                        .Append("<figcaption>").Append(WebUtility.HtmlEncode(figure.Caption))
                        .Append("</figcaption></figure>\n");
                    break;
                default:
                    throw new System.Diagnostics.UnreachableException();
            }
        }

        return text.ToString();
    }

    /// <summary>Headings with their tables, cells as they are printed, and figures as the points that they
    /// show.</summary>
    public static string ToJson(Report report) => JsonSerializer.Serialize(
        new
        {
            title = report.Title,
            blocks = report.Blocks.Select(block => block switch
            {
                ReportBlock.Heading heading => (object)new { heading = heading.Title },
                ReportBlock.Text text => new { text = text.Words },
                ReportBlock.Table table => new { columns = table.Columns, rows = table.Rows },
                ReportBlock.Figure figure => new { figure = figure.Name, caption = figure.Caption, figure.Data },
                _ => throw new System.Diagnostics.UnreachableException(),
            }),
        },
        Indented);
}
