using System.CommandLine;
using System.CommandLine.Parsing;

namespace SpotServe.Actors.Hosting;

/// <summary>An option whose value is empty is a variable that was not set in the script that starts this: no option
/// means something by it.</summary>
public static class EmptyOptions
{
    /// <returns>What was parsed.</returns>
    /// <exception cref="UsageException">An option was given an empty value; the message names it.</exception>
    public static ParseResult Refuse(ParseResult parsed)
    {
        for (var command = parsed.CommandResult; command is not null; command = command.Parent as CommandResult)
        {
            foreach (var option in command.Children.OfType<OptionResult>())
            {
                if (option.Tokens.Any(token => string.IsNullOrWhiteSpace(token.Value)))
                    throw new UsageException($"{option.Option.Name} is empty; give it a value or leave it out.");
            }
        }

        return parsed;
    }
}
