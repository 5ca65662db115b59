using System.Collections.Immutable;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>What a simulation says, in the order in which it is read: on a terminal, as Markdown, HTML or
/// JSON.</summary>
internal sealed record Report(string Title, ImmutableArray<ReportBlock> Blocks);

/// <summary>A part of a report.</summary>
internal abstract record ReportBlock
{
    private ReportBlock()
    {
    }

    public sealed record Heading(string Title) : ReportBlock;

    public sealed record Text(string Words) : ReportBlock;

    /// <param name="Rows">Each with as many cells as there are columns.</param>
    public sealed record Table(ImmutableArray<string> Columns, ImmutableArray<ImmutableArray<string>> Rows)
        : ReportBlock;

    /// <param name="Name">Of its files, without an ending.</param>
    public sealed record Figure(string Name, string Caption, FigureData Data) : ReportBlock;
}
