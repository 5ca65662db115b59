using Microsoft.AspNetCore.Components;
using SpotServe.Seed.Dashboard.Live;

namespace SpotServe.Seed.Dashboard.Components;

/// <summary>A part of the page that follows the cluster: rendered anew, twice a second at most, with the snapshot that
/// all pages share.</summary>
public abstract class LivePanel : ComponentBase, IDisposable
{
    [Inject]
    internal ClusterWatch Watch { get; set; } = null!;

    /// <summary>The same throughout one rendering.</summary>
    internal ClusterSnapshot Now { get; private set; } = null!;

    /// <summary>Whether buttons work: not yet in the first answer, which has no connection behind it.</summary>
    protected bool IsStill => !RendererInfo.IsInteractive;

    public void Dispose()
    {
        Watch.Changed -= OnChanged;
        GC.SuppressFinalize(this);
    }

    protected override void OnInitialized()
    {
        Now = Watch.Latest;
        // What is rendered for the first answer alone has nobody to show changes to.
        if (RendererInfo.IsInteractive) Watch.Changed += OnChanged;
    }

    private void OnChanged() => _ = InvokeAsync(() =>
    {
        Now = Watch.Latest;
        StateHasChanged();
    });
}
