using System.Text.Json;
using CsCheck;
using SpotServe.Seed.Templating;
using Xunit;

namespace SpotServe.Tests.Templating;

public sealed class TemplateTests
{
    private static readonly DateTimeOffset Now = new(2026, 3, 7, 14, 5, 9, TimeSpan.Zero);

    // Where @huggingface/jinja does otherwise, Python's engine is followed: the values are its.
    [Theory]
    [InlineData("{{ 1.0 }} {{ 10 / 4 }} {{ 6 / 2 }} {{ 1e20 }} {{ 0.00001 }}", "1.0 2.5 3.0 1e+20 1e-05")]
    [InlineData("{{ [1, 'a', none, true, 1.5] }} {{ (1,) }} {{ {'k': 'v'} }}",
        "[1, 'a', None, True, 1.5] (1,) {'k': 'v'}")]
    [InlineData("{{ \"it's\" | list | length }} {{ [\"it's\", 'say \"x\"'] }}", "4 [\"it's\", 'say \"x\"']")]
    [InlineData("{{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ -2 ** 2 }}", "-4 2 1024 4")]
    [InlineData("{{ none }} {{ True }} {{ undefined_name }}|", "None True |")]
    [InlineData("{{ 'a' 'b' }} {{ 1 if false }}|", "ab |")]
    [InlineData("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }}", "True False True True")]
    [InlineData("{{ 'abc' | reverse }} {{ ['b', 'A'] | sort }} {{ [1, 1, 2] | unique | list }}",
        "cba ['A', 'b'] [1, 2]")]
    [InlineData("{{ 'hello world' | title }} {{ 'hELLO' | capitalize }} {{ 'a-b' | replace('-', '+') }}",
        "Hello World Hello a+b")]
    [InlineData("{{ 2.5 | round }} {{ 3.14159 | round(2) }} {{ 2.1 | round(method='ceil') }}", "2.0 3.14 3.0")]
    [InlineData("{{ 'a\nb' | indent(2) }}|{{ 'a\nb' | indent(2, true) }}", "a\n  b|  a\n  b")]
    [InlineData("{{ 5 is odd }} {{ 4 is divisibleby 2 }} {{ 'x' is string }} {{ 1 is not number }}",
        "True True True False")]
    [InlineData("{{ [1, 2] is sequence }} {{ {} is mapping }} {{ 3 is in [1, 3] }} {{ none is none }}",
        "True True True True")]
    [InlineData("{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c %}x{{ a }}{% endset %}{{ c }}", "12x1")]
    [InlineData("{% filter upper %}a{{ 'b' }}{% endfilter %} {% with x = 3 %}{{ x }}{% endwith %}{{ x }}", "AB 3")]
    [InlineData("{% raw %}{{ x }}{% endraw %} {% generation %}g{% endgeneration %}", "{{ x }} g")]
    [InlineData("{% for i in [] %}x{% else %}none{% endfor %}", "none")]
    [InlineData("{% for i in [1, 2, 3] %}{{ loop.cycle('a', 'b') }}{{ loop.previtem | default('-') }}{% endfor %}",
        "a-b1a2")]
    [InlineData("{{ strftime_now('%d %b %Y %H:%M') }} {{ strftime_now('%-d') }}", "07 Mar 2026 14:05 7")]
    [InlineData("{{ {'b': 1, 'a': [1.0, none]} | tojson }}", "{\"b\": 1, \"a\": [1.0, null]}")]
    [InlineData("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}", "{\"a\":2,\"b\":1}")]
    [InlineData("{{ '<é>' | tojson }} {{ '<&>' | e }}", "\"<é>\" &lt;&amp;&gt;")]
    [InlineData("{{ 'a b  c'.split() }} {{ 'a.b.c'.rsplit('.', 1) }} {{ 'a\nb'.splitlines() }}",
        "['a', 'b', 'c'] ['a.b', 'c'] ['a', 'b']")]
    [InlineData("{{ 'xxabxx'.strip('x') }} {{ '-'.join(['a', 'b']) }} {{ 'aXbX'.replace('X', '', 1) }}", "ab a-b abX")]
    [InlineData("{{ {'a': 1}.get('b', 2) }} {{ {'a': 1}.keys() | list }} {{ '😀a'[0] }}{{ '😀a' | length }}",
        "2 ['a'] 😀2")]
    [InlineData("{{ [{'a': {'b': 1}}, {'a': {'b': 2}}] | map(attribute='a.b') | sum }}", "3")]
    [InlineData("{{ ['1', '2'] | map('int') | list }} {{ [1, 2, 3] | select('odd') | list }}", "[1, 2] [1, 3]")]
    public void Renders_as_the_language_says(string source, string expected) =>
        Assert.Equal(expected, Template.Parse(source).Render([], Now));

    [Theory]
    [InlineData("a\n{% if true %}\nb\n{% endif %}\nc", "a\nb\nc")]
    [InlineData("a\n    {% if true %}\nb{% endif %}", "a\nb")]
    [InlineData("a {% if true %} b {% endif %} c", "a  b  c")]
    [InlineData("a\n  {%+ if true %}b{% endif %}", "a\n  b")]
    [InlineData("{% if true +%}\nb{% endif %}", "\nb")]
    [InlineData("a \n {{- 'b' -}} \n c", "abc")]
    [InlineData("a\n {{ 'b' }}\nc\n", "a\n b\nc")]
    [InlineData("a\r\n{# x #}\r\nb", "a\nb")]
    [InlineData("{{ {'a': {'b': 1}}['a'] }}", "{'b': 1}")]
    public void White_space_at_tags_goes_as_the_models_tool_has_it(string source, string expected) =>
        Assert.Equal(expected, Template.Parse(source).Render([], Now));

    [Theory]
    [InlineData("a\n{% include 'x' %}", "line 2: the statement 'include' is not supported")]
    [InlineData("{{ x | shuffle }}", "line 1: the filter 'shuffle' is not known")]
    [InlineData("\n\n{{ x is prime }}", "line 3: the test 'prime' is not known")]
    [InlineData("{{ x.encode('utf-8') }}", "line 1: the method 'encode' is not known")]
    [InlineData("{% if true %}", "line 1: 'if' has no 'endif'")]
    [InlineData("{% for x in y recursive %}{% endfor %}", "line 1: recursive loops are not supported")]
    [InlineData("{{ 'abc", "line 1: a string does not end")]
    [InlineData("{{ 1 +", "line 1: a tag does not end: }} is missing")]
    [InlineData("{{ a b }}", "line 1: expected '}}' and found 'b'")]
    [InlineData("{% break %}", "line 1: 'break' stands outside of a loop")]
    [InlineData("{% else %}", "line 1: the statement 'else' is not known here")]
    [InlineData("{{ 99999999999999999999 }}", "line 1: the number 99999999999999999999 is too large")]
    public void What_the_subset_lacks_is_refused_when_the_template_is_read(string source, string expected) =>
        Assert.Equal(expected, Assert.Throws<TemplateException>(() => Template.Parse(source)).Message);

    [Theory]
    [InlineData("{{ x.y.z }}", "line 1: 'y' is not defined, so it has no member 'z'")]
    [InlineData("{{ 1 + 'a' }}", "line 1: '+' does not go with integer and string")]
    [InlineData("{{ x.y + 'a' }}", "line 1: '+' does not go with 'y', which is not defined and string")]
    [InlineData("{{ nothing() }}", "line 1: 'nothing' is called and is not defined")]
    [InlineData("{{ 1 // 0 }}", "line 1: division by zero")]
    [InlineData("{{ 9223372036854775807 + 1 }}", "line 1: '+' makes a number that is too large")]
    [InlineData("{% set x.y = 1 %}", "line 1: 'x' is no namespace, so its members cannot be set")]
    [InlineData("{% for a, b in [[1]] %}{% endfor %}", "line 1: 1 values do not go into 2 names")]
    public void What_does_not_go_together_is_an_error_that_says_where(string source, string expected)
    {
        var variables = new Dictionary<string, Value>
        {
            ["x"] = JsonWriting.FromJson(JsonSerializer.SerializeToElement(new { a = 1 })),
        };

        var error = Assert.Throws<TemplateException>(() => Template.Parse(source).Render(variables, Now));

        Assert.Equal(expected, error.Message);
    }

    [Theory]
    [InlineData("{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}")]
    [InlineData("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}")]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")]
    [InlineData("{{ 'x' * 9000000000 }}")]
    [InlineData("{{ [1] * 9000000000 }}")]
    [InlineData("{{ range(9000000000) }}")]
    [InlineData("{{ 2 ** 9000000000 }}")]
    [InlineData("{% for i in range(100000) %}{{ 'x' * 100 }}{% endfor %}")]
    [InlineData("{{ 'a' | indent(900000000) | length }}{{ ('a\n' * 1000000) | indent(1000) }}")]
    public void A_template_that_would_run_or_grow_for_ever_is_stopped(string source) =>
        Assert.Throws<TemplateException>(() => Template.Parse(source).Render([], Now));

    [Theory]
    [InlineData("(", ")")]
    [InlineData("[", "]")]
    [InlineData("-", "")]
    [InlineData("not ", "")]
    [InlineData("{'a': ", "}")]
    public void Deep_nesting_is_refused_and_not_a_stack_overflow(string open, string close)
    {
        var deep = string.Concat(Enumerable.Repeat(open, 20_000)) + "1"
            + string.Concat(Enumerable.Repeat(close, 20_000));

        Assert.Throws<TemplateException>(() => Template.Parse("{{ " + deep + " }}"));
    }

    [Theory]
    [InlineData("{{ 1", " + 1", " }}")]
    [InlineData("{{ x", ".a", " }}")]
    [InlineData("{{ 'a'", " | trim", " }}")]
    [InlineData("{{ 1", " if true else 1", " }}")]
    [InlineData("", "{% if true %}", "")]
    public void Long_chains_are_an_error_or_a_value_and_not_a_stack_overflow(string begin, string link, string end)
    {
        var source = begin + string.Concat(Enumerable.Repeat(link, 20_000)) + end;

        Assert.Throws<TemplateException>(() => Template.Parse(source).Render([], Now));
    }

    [Fact]
    public void Any_text_is_a_template_or_refused_with_a_line()
    {
        var piece = Gen.OneOfConst(
            "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "if", "for", "in", "set", "macro", "endif", "endfor", "x",
            "1", "'", "\"", "(", ")", "[", "]", "{", "}", "|", ".", ",", ":", "=", "is", "not", " ", "\n", "\\", "é",
            "~");

        piece.Array[0, 40].Select(string.Concat).Sample(source =>
        {
            try
            {
                Template.Parse(source).Render([], Now);
            }
            catch (TemplateException error)
            {
                Assert.InRange(error.Line, 1, source.Count(c => c == '\n') + 1);
            }
        });
    }

    [Fact]
    public void Complaint_that_shows_a_text_of_several_lines_is_one_line()
    {
        var source = "{{ {}'a\\n" + new string('b', 5_000) + "' }}";

        var error = Assert.Throws<TemplateException>(() => Template.Parse(source));

        Assert.StartsWith("line 1: expected '}}' and found the string 'a\\nb", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
        Assert.InRange(error.Message.Length, 1, 1_100);
    }

    [Fact]
    public void A_template_refuses_its_input_with_raise_exception() => Assert.Equal(
        "no",
        Assert.Throws<TemplateRefusalException>(
            () => Template.Parse("{{ raise_exception('no') }}").Render([], Now)).Message);
}
