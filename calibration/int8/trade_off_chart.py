"""A chart of a quantisation's trade-off."""

import io

from engines.package import Quantisation


def chart(name: str, quantisation: Quantisation) -> bytes:
    """Return a PNG: PSNR over the share of INT8 as layers are added, and each layer by itself."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    kept = [trial for trial in quantisation.curve if trial.kept]
    left.plot([100 * t.share for t in kept], [t.psnr for t in kept], "o-", label="all portraits")
    left.plot([100 * t.share for t in kept], [t.worst_psnr for t in kept], ".:", label="the worst portrait")
    out = [trial for trial in quantisation.curve if not trial.kept]
    if out:
        left.plot([100 * t.share for t in out], [t.psnr for t in out], "rx", label="with a layer left out")
    left.axhline(quantisation.least_psnr, color="tab:red", linewidth=1)
    left.axvline(100 * quantisation.least_share, color="tab:red", linewidth=1, label="the bar")
    left.set_xlabel("share of the MACs in INT8, %")
    left.set_ylabel("PSNR against FP32, dB")
    left.set_title(f"{100 * quantisation.share:.1f} % in INT8: {quantisation.psnr:.1f} dB")
    left.legend(fontsize="small")
    left.grid(alpha=0.3)
    layers = quantisation.layers
    colours = ["tab:blue" if layer.precision == "int8" else "tab:red" for layer in layers]
    right.barh(range(len(layers)), [layer.psnr_alone for layer in layers], color=colours)
    labels = [f"{layer.name} ({100 * layer.share:.1f} %)" for layer in layers]
    right.set_yticks(range(len(layers)), labels, fontsize="small")
    right.invert_yaxis()
    lowest = min((layer.psnr_alone for layer in layers), default=30)
    right.set_xlim(left=max(0, lowest - 5))
    right.set_xlabel("PSNR with only this layer in INT8, dB; red stays floating-point")
    figure.suptitle(f"{name}: {quantisation.held_out} portraits held out of {quantisation.portraits}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()
