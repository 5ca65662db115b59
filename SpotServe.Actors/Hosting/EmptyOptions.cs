using System.CommandLine;
using System.CommandLine.Parsing;

namespace SpotServe.Actors.Hosting;

/// <summary>An option whose value is empty is a variable that was not set in the script that starts this: no option
/// means something by it.</summary>
public static class EmptyOptions
{
    /// <returns>What is to be said of the first such option; null when there is none.</returns>
    public static string? Complaint(ParseResult parsed)
    {
        for (var command = parsed.CommandResult; command is not null; command = command.Parent as CommandResult)
        {
            var empty = command.Children.OfType<OptionResult>().FirstOrDefault(
                option => option.Tokens.Any(token => string.IsNullOrWhiteSpace(token.Value)));
            if (empty is not null) return $"{empty.Option.Name} is empty; give it a value or leave it out.";
        }

        return null;
    }
}
