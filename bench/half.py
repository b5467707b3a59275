"""Half precision against FP32: the published form cast as it is, and the form that cannot overflow.

Both are ONNX graphs, run so that every FP16 value is rounded between nodes (export/rounding.py).
"""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from base import command_line
from bench.options import add_output, positive
from bench.report import Report, Row, measured
from export.gpen import static
from export.gpen.checkpoint import load_checkpoint
from export.gpen.half import halve
from export.gpen.network import Gpen
from export.gpen.static import StaticGpen
from export.parity import noise, portrait
from export.rounding import rounding_session
from export.tracing import TracedGraph, to_onnx
from portraits.reading import load_portraits

Crops: TypeAlias = NDArray[np.float32]
Form: TypeAlias = Literal["plain", "safe"]

FORMS: dict[Form, str] = {"plain": "plain FP16", "safe": "FP16-safe"}


@dataclass(frozen=True)
class HalfSettings:
    """What is measured."""

    checkpoints: tuple[Path, ...]
    portraits: Path | None = None
    """Folder of square, aligned portraits; None takes what exports are compared with."""
    first: int = 0
    """Portraits before this one, in the order of their names, are left out."""
    limit: int | None = None
    """Portraits at most."""


@dataclass(frozen=True)
class Figures:
    """One form of one network."""

    network: str
    form: Form
    crops: int
    psnr: float | None
    """Mean over the crops, dB, against FP32, whose own range is the peak; None where one is not finite."""
    worst: float | None
    largest: float
    """Largest magnitude of a finite FP16 value, stored between any two nodes."""
    broken: int
    """Crops with an infinity or NaN somewhere on the way."""


def steps(settings: HalfSettings) -> int:
    """Return how often `measure` ticks."""
    return len(settings.checkpoints) * len(FORMS)


def measure(settings: HalfSettings, tick: Callable[[], None]) -> Report:
    """Restore crops in the published single pass. Raises CheckpointError and PhotoError."""
    found = []
    for checkpoint in settings.checkpoints:
        loaded = load_checkpoint(checkpoint)
        net = static.fold(Gpen.from_state(loaded.layout, loaded.state))
        crops = _crops(settings, loaded.layout.size)
        with torch.inference_mode():
            expected = [static.restore(net, torch.from_numpy(crop[None])).numpy() for crop in crops]
        for form in FORMS:
            found.append(_figures(checkpoint.stem, form, _session(net, form, crops[0]), crops, expected))
            tick()
    return _report(settings, found)


def plain(net: StaticGpen) -> StaticGpen:
    """Return the same network with every constant cast to FP16, as a converter would."""
    return _cast(net)  # type: ignore[no-any-return]


def _cast(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.half()
    if isinstance(value, tuple):
        return tuple(map(_cast, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: _cast(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    return value


def _session(net: StaticGpen, form: Form, crop: Crops) -> onnxruntime.InferenceSession:
    if form == "safe":
        halved = halve(net)

        def restore(crop: Tensor) -> Tensor:
            return static.restore(halved, crop)
    else:
        halved = plain(net)

        def restore(crop: Tensor) -> Tensor:
            return static.restore(halved, crop.half()).float()

    graph = TracedGraph(restore, {"input": torch.zeros(0, *crop.shape)}, ("output",))
    return rounding_session(to_onnx(graph, opset=17), watched=True)


def _crops(settings: HalfSettings, size: int) -> Crops:
    """Return crops, N×3×S×S in [−1, 1]."""
    if settings.portraits is None:
        return np.concatenate([noise(size).numpy(), portrait(size).numpy()])
    truths = load_portraits(settings.portraits, first=settings.first, limit=settings.limit, size=size)
    crops: Crops = np.stack(truths).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1
    return crops


def _figures(
    network: str,
    form: Form,
    session: onnxruntime.InferenceSession,
    crops: Crops,
    expected: Sequence[Crops],
) -> Figures:
    ratios, largest, broken = [], 0.0, 0
    for crop, wanted in zip(crops, expected, strict=True):
        output, *between = session.run(None, {"input": crop[None]})
        ratios.append(_psnr(output, wanted))
        broken += not all(np.isfinite(value).all() for value in (output, *between))
        halves = [value for value in between if value.dtype == np.float16]
        largest = max(largest, *(np.abs(value[np.isfinite(value)]).max(initial=0) for value in halves))
    finite = bool(np.isfinite(ratios).all())
    return Figures(
        network,
        form,
        len(crops),
        float(np.mean(ratios)) if finite else None,
        min(ratios) if finite else None,
        float(largest),
        broken,
    )


def _psnr(found: Crops, expected: Crops) -> float:
    error = np.mean((found.astype(np.float64) - expected) ** 2)
    return float(10 * np.log10(float(np.ptp(expected)) ** 2 / error))


def _report(settings: HalfSettings, found: Sequence[Figures]) -> Report:
    safe = [row.worst for row in found if row.form == "safe"]
    worst = min((value for value in safe if value is not None), default=None)
    said = f"is on no crop below {_decibels(worst)} dB" if None not in safe else "is not finite everywhere"
    return Report(
        name="half",
        title="Half precision against FP32, rounded at every node",
        headings=("network", "form", "crops", "PSNR dB", "worst dB", "largest value", "with infinity or NaN"),
        rows=tuple(map(_row, found)),
        summary=f"Against FP32 the FP16-safe form {said}.",
        figures={
            "portraits": None if settings.portraits is None else settings.portraits.name,
            "first": settings.first,
            "rows": [asdict(row) for row in found],
        },
    )


def _row(figures: Figures) -> Row:
    return (
        figures.network,
        FORMS[figures.form],
        str(figures.crops),
        _decibels(figures.psnr),
        _decibels(figures.worst),
        f"{figures.largest:.4g}",
        str(figures.broken),
    )


def _decibels(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `python -m bench half`."""
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="networks to measure")
    parser.add_argument("--portraits", type=Path, help="folder of square, aligned portraits (one of ours)")
    parser.add_argument("--first", type=int, default=0, help="leave out the portraits before this one (0)")
    parser.add_argument("--limit", type=positive, help="measure this many portraits at most")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    settings = HalfSettings(
        checkpoints=tuple(options.checkpoints),
        portraits=options.portraits,
        first=options.first,
        limit=options.limit,
    )
    measured("half", steps(settings), partial(measure, settings), options.output)
    return command_line.DONE
