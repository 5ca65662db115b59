using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>
/// Rotary positions: pairs (i, i + half) of each head are turned by position x frequency. One object serves all layers
/// of a stage, so that a step looks its sines up once.
/// </summary>
internal sealed class Rotary : IDisposable
{
    private readonly StageContext _stage;
    private readonly int _width;
    private readonly Tensor _cos;
    private readonly Tensor _sin;
    private Tensor? _stepPositions;
    private Tensor? _stepCos;
    private Tensor? _stepSin;

    /// <param name="width">Leading elements of each head that are turned; even.</param>
    public Rotary(StageContext stage, ModelConfig config, int width)
    {
        _stage = stage;
        _width = width;
        var frequencies = Frequencies(config, width);
        var half = frequencies.Length;
        var amplitude = (float)config.Rope.Amplitude;
        float[] cos = new float[config.ContextMax * half], sin = new float[cos.Length];
        for (var position = 0; position < config.ContextMax; position++)
        {
            for (var i = 0; i < half; i++)
            {
                // The product in float32, as the reference computes it.
                var (s, c) = Math.SinCos((float)position * frequencies[i]);
                cos[(position * half) + i] = (float)c * amplitude;
                sin[(position * half) + i] = (float)s * amplitude;
            }
        }

        _cos = Place(cos);
        _sin = Place(sin);

        Tensor Place(float[] values) => tensor(values, [config.ContextMax, 1, half])
            .to(stage.Device).DetachFromDisposeScope();
    }

    /// <summary>Leading elements of each head that are turned.</summary>
    public int Width => _width;

    /// <summary>[positions, 1, width / 2] in float32, like the sines.</summary>
    public Tensor Cosines => _cos;

    public Tensor Sines => _sin;

    /// <summary>Turns the first <paramref name="count"/> heads of each row in place.</summary>
    /// <param name="rows">[tokens, queries and keys and what follows], contiguous.</param>
    public void Apply(Tensor rows, int count)
    {
        if (_stage.Cpu is { } cpu && _width % 16 == 0)
        {
            cpu.Rotate(rows, count, _cos, _sin);
            return;
        }

        var size = _stage.Heads.HeadSize;
        var heads = rows.narrow(1, 0, (long)count * size).view(-1, count, size);
        var positions = _stage.Batch.Positions;
        if (!ReferenceEquals(_stepPositions, positions))
        {
            _stepPositions = positions;
            // Made in the first layer's scope, used by all of the step.
            _stepCos = _cos.index_select(0, positions).MoveToOuterDisposeScope();
            _stepSin = _sin.index_select(0, positions).MoveToOuterDisposeScope();
        }

        int half = _width / 2;
        var first = heads.narrow(2, 0, half);
        var second = heads.narrow(2, half, half);
        var turned = (first * _stepCos!).sub_(second * _stepSin!);
        second.copy_((second * _stepCos!).AddInPlace(first * _stepSin!));
        first.copy_(turned);
    }

    public void Dispose()
    {
        _cos.Dispose();
        _sin.Dispose();
    }

    /// <summary>Turn per token of each pair, in radians, after the model's scaling.</summary>
    internal static float[] Frequencies(ModelConfig config, int width)
    {
        var frequencies = new float[width / 2];
        for (var i = 0; i < frequencies.Length; i++)
        {
            var plain = 1 / Math.Pow(config.RopeTheta, 2.0 * i / width);
            frequencies[i] = (float)(config.Rope.Type switch
            {
                "default" => plain,
                "linear" => plain / config.Rope.Factor,
                "llama3" => Llama3(plain, config.Rope),
                "yarn" => Yarn(plain, config.RopeTheta, config.Rope, i, width),
                "longrope" => plain / config.Rope.Divisors[i],
                _ => throw new System.Diagnostics.UnreachableException(),
            });
        }

        return frequencies;
    }

    /// <summary>Slow turns (long waves) are slowed by the factor, fast ones kept, those between blended.</summary>
    private static double Llama3(double frequency, RopeScaling scaling)
    {
        var turnsInContext = scaling.OriginalContext * frequency / (2 * Math.PI);
        if (turnsInContext < scaling.LowFrequencyFactor) return frequency / scaling.Factor;
        if (turnsInContext > scaling.HighFrequencyFactor) return frequency;
        var blend = (turnsInContext - scaling.LowFrequencyFactor)
            / (scaling.HighFrequencyFactor - scaling.LowFrequencyFactor);
        return ((1 - blend) * frequency / scaling.Factor) + (blend * frequency);
    }

    /// <summary>Pairs that turn often in the original context are kept, those that turn seldom are slowed by the
    /// factor, and those between are blended by their place.</summary>
    private static double Yarn(double frequency, double theta, RopeScaling scaling, int pair, int width)
    {
        double low = PlaceOf(scaling.BetaFast), high = PlaceOf(scaling.BetaSlow);
        if (scaling.Truncates) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, width - 1));
        if (low == high) high += 0.001;
        var slowed = Math.Clamp((pair - low) / (high - low), 0, 1);
        return ((1 - slowed) * frequency) + (slowed * frequency / scaling.Factor);

        // The pair that turns this often in the original context.
        double PlaceOf(double turns) =>
            width * Math.Log(scaling.OriginalContext / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));
    }
}
