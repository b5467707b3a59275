"""An audit as a table, as JSON and as a chart."""

import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from rich.table import Table

from base.files import json_bytes
from calibration.audit.audit import (
    CLAMP,
    LARGEST,
    NORMAL,
    QUANTILES,
    RISKS,
    Audit,
    Tensor,
    Verdict,
)
from engines.package import RESTORING, GraphName

PLURAL = {"overflows": "overflow", "clamped": "clamped", "near": "near", "vanishes": "vanish"}


def summary(found: Audit) -> list[str]:
    """Return a sentence for each conversion that the audit judges."""
    lines = []
    if found.precision == "fp32":
        lines.append(f"plain FP16: {_said(found, 'plain')}")
    if found.precision != "int8":
        lines.append(f"FP16-safe form: {_said(found, 'safe')}")
    return lines


def _said(found: Audit, form: Literal["plain", "safe"]) -> str:
    tensors = found.at_risk(form)
    if not tensors:
        return "no layer is at risk"
    places: dict[str, dict[str, None]] = {}
    for tensor in tensors:
        risk = str(getattr(tensor, form))
        places.setdefault(risk, {})[f"{tensor.graph} {tensor.layer}"] = None
    return "; ".join(f"{risk} in {', '.join(where)}" for risk, where in places.items())


def table(found: Audit) -> Table:
    """Return a row for each layer: its largest value, and its risks."""
    result = Table(title=f"{found.package}, {found.precision}: values of {found.portraits} portraits")
    for heading in ("graph", "layer"):
        result.add_column(heading, no_wrap=True)
    for heading in ("largest", "99.9 %", "headroom", "small"):
        result.add_column(heading, justify="right", no_wrap=True)
    for heading in ("plain", "safe"):
        result.add_column(heading)
    result.caption = (
        "headroom: octaves to 65504; small: share of the layer's values below 2⁻¹⁴\n"
        "plain: in plain FP16; safe: in the FP16-safe form. -o audit.json names the nodes."
    )
    for (graph, layer), tensors in layers(found).items():
        worst = min(tensors, key=lambda tensor: (tensor.operation == "constant", tensor.headroom))
        values = sum(tensor.seen.nonzero for tensor in tensors)
        small = sum(tensor.below_normal * tensor.seen.nonzero for tensor in tensors) / max(1, values)
        result.add_row(
            graph,
            layer,
            f"{worst.seen.largest:.3g}",
            f"{worst.seen.quantile(0.999):.3g}",
            f"{worst.headroom:.1f}",
            f"{small:.1%}",
            _verdicts([tensor.plain for tensor in tensors]),
            _verdicts([tensor.safe for tensor in tensors]),
        )
    return result


def layers(found: Audit) -> dict[tuple[GraphName, str], list[Tensor]]:
    """Return the tensors of each graph and layer, in the order of the graphs."""
    result: dict[tuple[GraphName, str], list[Tensor]] = {}
    for tensor in found.tensors:
        if tensor.operation != "constant":
            result.setdefault((tensor.graph, tensor.layer), [])
    for tensor in found.tensors:
        result.setdefault((tensor.graph, tensor.layer), []).append(tensor)
    return result


def _verdicts(verdicts: Sequence[Verdict | None]) -> str:
    """Return the risks and the number of tensors for each: "3 overflow"."""
    risks = [f"{verdicts.count(risk)} {PLURAL[risk]}" for risk in RISKS if risk in verdicts]
    if risks:
        return f"[red]{', '.join(risks)}[/red]"
    return "fits" if "fits" in verdicts else "–"


def as_json(found: Audit) -> bytes:
    """Return all results; `octaves` counts values in [2**k, 2**(k + 1)) by k."""
    content = {
        "package": found.package,
        "precision": found.precision,
        "portraits": found.portraits,
        "limits": {"largest": LARGEST, "smallest_normal": 2.0**NORMAL, "clamp": CLAMP},
        "summary": summary(found),
        "tensors": [_entry(tensor) for tensor in found.tensors],
    }
    return json_bytes(content)


def _entry(tensor: Tensor) -> dict[str, Any]:
    seen = tensor.seen
    return {
        "graph": tensor.graph,
        "layer": tensor.layer,
        "node": tensor.node,
        "operation": tensor.operation,
        "dtype": tensor.dtype,
        "shape": tensor.shape,
        "largest": seen.largest,
        "quantiles": {str(share): seen.quantile(share) for share in QUANTILES},
        "headroom_octaves": tensor.headroom if np.isfinite(tensor.headroom) else None,
        "below_normal": tensor.below_normal,
        "values": seen.count,
        "zeros": seen.zeros,
        "broken": seen.broken,
        "plain": tensor.plain,
        "safe": tensor.safe,
        "octaves": {str(k): count for k, count in seen.octaves().items()},
    }


def plot(found: Audit) -> bytes:
    """Return a PNG: one column per tensor in the order of the graphs, shaded by the density of its values."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tensors = [tensor for tensor in found.tensors if tensor.operation != "constant" and tensor.seen.nonzero]
    octaves = [k for tensor in tensors for k in tensor.seen.octaves()]
    low, high = max(min(octaves, default=0), -30) - 1, max(*octaves, 16) + 5
    image = np.zeros((high - low, len(tensors)))
    for column, tensor in enumerate(tensors):
        for k, count in tensor.seen.octaves().items():
            if k >= low:
                image[k - low, column] = count / tensor.seen.nonzero
    figure = Figure(figsize=(13, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shown = axes.imshow(
        np.log10(np.maximum(image, 1e-6)),
        origin="lower",
        aspect="auto",
        extent=(-0.5, len(tensors) - 0.5, low, high),
        cmap="Greys",
        vmin=-6,
        vmax=0,
        interpolation="nearest",
    )
    bar = figure.colorbar(shown, ax=axes, pad=0.01)
    bar.set_label("share of the nonzero values, log₁₀")
    axes.axhline(np.log2(LARGEST), color="tab:red", label="largest FP16 number, 65504")
    axes.axhline(NORMAL, color="tab:blue", label="smallest normal FP16 number, 2⁻¹⁴")
    tops = [np.log2(tensor.seen.largest) for tensor in tensors]
    axes.plot(tops, color="tab:orange", linewidth=1, label="largest magnitude")
    for form, mark, colour in (("plain", "v", "tab:red"), ("safe", "X", "tab:purple")):
        places = [i for i, tensor in enumerate(tensors) if getattr(tensor, form) in RISKS]
        if places:
            name = "plain FP16" if form == "plain" else "the FP16-safe form"
            heights = [tops[i] for i in places]
            axes.plot(places, heights, mark, color=colour, markersize=5, label=f"at risk in {name}")
    for i, graph in enumerate(RESTORING):
        places = [i for i, tensor in enumerate(tensors) if tensor.graph == graph]
        if places:
            axes.axvline(places[0] - 0.5, color="black", linewidth=0.8)
            axes.text(places[0], high - 1.2 * (1 + i), f" {graph}", ha="left", va="bottom")
    axes.set_ylim(low, high)
    axes.set_ylabel("magnitude, log₂")
    _ticks(axes, tensors)
    axes.legend(loc="lower left", fontsize="small", framealpha=0.9)
    figure.suptitle(f"{found.package}, {found.precision}: values of {found.portraits} portraits")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _ticks(axes: Any, tensors: list[Tensor]) -> None:
    """Mark where each layer begins; a layer with few tensors gets no label."""
    begins = [i for i, t in enumerate(tensors) if i == 0 or _place(t) != _place(tensors[i - 1])]
    wide = [
        i for i, end in zip(begins, [*begins[1:], len(tensors)], strict=True) if end - i > len(tensors) / 60
    ]
    axes.set_xticks(wide, [tensors[i].layer for i in wide], rotation=45, ha="right", fontsize="small")
    axes.set_xlabel("tensors in the order of computation, and the layers they belong to")


def _place(tensor: Tensor) -> tuple[str, str]:
    return tensor.graph, tensor.layer
