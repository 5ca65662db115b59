using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using SpotServe.Seed.Templating;
using Xunit;

namespace SpotServe.Tests.Templating;

/// <summary>Compares with @huggingface/jinja, the implementation that the models' publishers keep for
/// JavaScript.</summary>
public sealed class ReferenceTests
{
    /// <summary>Truths and lists are not printed: JavaScript writes them otherwise than Python does.</summary>
    private static readonly string[] Expressions =
    [
        "{{ 7 // 2 }} {{ 7 % 3 }} {{ 2 * 3 + 4 }} {{ 2 + 3 * 4 }} {{ (1 + 2) * 3 }}",
        "{{ 'y' if 1 < 2 }}{{ 'y' if 'a' in 'cat' }}{{ 'y' if 3 not in [1, 2] and (not true or true) }}",
        "{{ 'a' ~ 1 ~ 'b' ~ 2.5 }}",
        "{{ [1, 2, 3][1:] | join }} {{ [1, 2, 3][-1] }} {{ 'hello'[1:3] }} {{ 'hello'[::-1] }}",
        "{{ 'yes' if messages else 'no' }} {{ 'y' if missing is not defined }} {{ missing | default('d') }}",
        "{% set ns = namespace(x=1) %}{% for i in range(3) %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
        "{% set x = 1 %}{% for i in range(3) %}{% set x = i %}{% endfor %}{{ x }}",
        "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}",
        "{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
        "{% for i in range(5) %}{% if i % 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
        "{% macro m(a, b='x') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}",
        "{{ ' a b '.strip() }}|{{ 'a,b,c'.split(',') | join(';') }}|{{ 'x'.upper() }}",
        "{{ 'y' if 'abc'.startswith('ab') }}",
        "{{ messages | tojson }}",
        "{{ {'b': [1, {'c': none}], 'a': 'é\"'} | tojson(indent=2) }}",
        "line\n  {%- if true %}\n  inside\n  {%- endif %}\nend",
        "line\n  {% if true %}\n  inside\n  {% endif %}\nend\n",
        "a {#- comment -#} b\n{# another #}\nc",
        "{{ '\\n' }}x{{ \"\\\"\" }}{{ 'it\\'s' }}",
        "{% for m in messages %}{{ loop.index }}{{ 'f' if loop.first }}{{ 'l' if loop.last }} {% endfor %}",
        "{% for m in messages %}{{ loop.revindex }}/{{ loop.length }} {% endfor %}",
        "{{ messages | map(attribute='role') | join('-') }}",
        "{{ -3 | abs }} {{ '12' | int + 1 }} {{ 'ab' | length }} {{ [3, 1, 2] | sort | join }}",
    ];

    [Fact]
    public async Task Templates_render_as_the_reference_does()
    {
        var cases = Cases();

        var expected = await RenderWithReferenceAsync(cases, TestContext.Current.CancellationToken);

        Assert.Equal(cases.Count, expected.Count);
        Assert.All(cases.Zip(expected), pair =>
        {
            var (ours, theirs) = (Render(pair.Item1), pair.Item2!);
            if (theirs["error"] is not null) Assert.Null(ours);
            else Assert.Equal((string?)theirs["text"], ours);
        });
    }

    private static JsonArray Cases()
    {
        var cases = new JsonArray();
        foreach (var source in ChatTemplateCases.Templates.Select(File.ReadAllText).Concat(Expressions))
        {
            foreach (var conversation in ChatTemplateCases.Conversations)
            {
                cases.Add(new JsonObject
                {
                    ["template"] = source,
                    ["variables"] = ChatTemplateCases.Variables(conversation, cases.Count % 2 == 0),
                });
            }
        }

        return cases;
    }

    /// <summary>Null where it is refused.</summary>
    private static string? Render(JsonNode? one)
    {
        try
        {
            return Template.Parse((string)one!["template"]!).Render(
                ChatTemplateCases.Values((JsonObject)one["variables"]!), DateTimeOffset.UnixEpoch);
        }
        catch (Exception error) when (error is TemplateException or TemplateRefusalException)
        {
            return null;
        }
    }

    private static async Task<JsonArray> RenderWithReferenceAsync(JsonArray cases, CancellationToken cancel)
    {
        using var folder = new ReferenceFolder();
        await folder.RunAsync("npm", "install --no-audit --no-fund --no-package-lock", input: null, cancel);
        var output = await folder.RunAsync("node", "render.mjs", cases.ToJsonString(), cancel);
        return JsonSerializer.Deserialize<JsonArray>(output)!;
    }

    private sealed class ReferenceFolder : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("spotserve-jinja-");

        public ReferenceFolder()
        {
            foreach (var file in Directory.GetFiles(ChatTemplateCases.Folder("reference")))
                File.Copy(file, Path.Combine(_folder.FullName, Path.GetFileName(file)));
        }

        public async Task<string> RunAsync(string program, string arguments, string? input, CancellationToken cancel)
        {
            using var process = Start(program, arguments);
            if (input is not null) await process.StandardInput.WriteAsync(input.AsMemory(), cancel);
            process.StandardInput.Close();
            var errors = process.StandardError.ReadToEndAsync(cancel);
            var output = await process.StandardOutput.ReadToEndAsync(cancel);
            await process.WaitForExitAsync(cancel);
            Assert.True(process.ExitCode == 0, $"{program} {arguments}: {await errors}");
            return output;
        }

        public void Dispose() => _folder.Delete(recursive: true);

        private Process Start(string program, string arguments)
        {
            try
            {
                return Process.Start(new ProcessStartInfo(program, arguments)
                {
                    WorkingDirectory = _folder.FullName,
                    RedirectStandardInput = true,
                    RedirectStandardOutput = true,
                    RedirectStandardError = true,
                })!;
            }
            catch (System.ComponentModel.Win32Exception)
            {
                Assert.Skip($"{program} is not installed; it is needed to compare with the reference");
                throw;
            }
        }
    }
}
