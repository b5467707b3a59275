"""Measure a GPU: its peak rates, the published and the static form in PyTorch, the runtime's parts.

The most valuable parts come first, a failed part does not stop the others, and results are written after each
part, because a GPU may only be available for minutes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from rich.console import Console
from torch import Tensor

from base import command_line
from base.errors import BackendError
from base.files import write_json
from bench.gpu.cuda_layer import cuda_layer
from bench.gpu.onnx_graphs import onnx_graphs
from bench.gpu.whole_photos import whole_photos
from export.gpen import static
from export.gpen.half import halve
from export.gpen.layout import Layout
from export.gpen.network import Gpen

BATCHES = (1, 4, 8)
TURNS = 12
Form: TypeAlias = Callable[[Tensor], Tensor]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m bench gpu`."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write the figures to.")
    parser.add_argument("--size", type=int, default=512, help="Size of the crops.")
    parser.add_argument(
        "--minutes", type=float, default=2.0, help="Minutes after which no further part begins."
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if not torch.cuda.is_available():
        raise BackendError("no GPU that PyTorch can use was found: run this where there is one")
    wide = options.size >= 512  # the published widths of GPEN-512, else those of GPEN-256
    layout = Layout(options.size, 2 if wide else 1, 1.0 if wide else 0.5, 512, 8)
    measure(torch.device("cuda"), options.output, layout, 60 * options.minutes)
    return command_line.DONE


def measure(device: torch.device, output: Path, layout: Layout, seconds: float) -> dict[str, Any]:
    """Measure part after part, write the figures after each, and return them.

    device   on a CPU the same parts run, slowly: for rehearsals
    layout   of the network, whose weights are random
    seconds  after which no further part begins
    """
    deadline = time.monotonic() + seconds
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    network = _network(layout).to(device)
    crops = torch.rand(max(BATCHES), 3, layout.size, layout.size, device=device) * 2 - 1
    found: dict[str, Any] = _environment(device)
    console = Console()
    with torch.inference_mode():
        truth = network(crops)
        parts: dict[str, Callable[[], Any]] = {"ceilings": partial(_ceilings, device)}
        parts |= {name: partial(_figures, form, crops, truth) for name, form in _forms(network).items()}
        parts |= {
            "runtime's CUDA layer": cuda_layer,
            "ONNX Runtime": onnx_graphs,
            "ONNX Runtime, whole photos": whole_photos,
        }
        for name, part in parts.items():
            try:
                found[name] = part() if time.monotonic() < deadline else "not run: the time was up"
            except Exception as error:  # from any library: the next part may still work
                found[name] = f"failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
            console.print(f"{name}: {found[name]}", soft_wrap=True)
            write_json(output, found)
    return found


def _network(layout: Layout) -> Gpen:
    torch.manual_seed(0)
    network = Gpen(layout).eval().requires_grad_(False)
    for conv in network.generator.styled_convs:
        conv.noise.weight.fill_(0.5)
    return network


def _forms(network: Gpen) -> dict[str, Form]:
    exact = static.fold(network)
    half = halve(exact)
    return {
        "published, eager, FP32": network,
        "static, eager, FP32": partial(static.restore, exact),
        "static, FP16-safe, eager": partial(static.restore, half),
        "published, eager, autocast FP16": _cast(network, torch.float16),
        "static, eager, autocast FP16": _cast(partial(static.restore, exact), torch.float16),
        "static, eager, autocast BF16": _cast(partial(static.restore, exact), torch.bfloat16),
        "static, FP16-safe, torch.compile": torch.compile(partial(static.restore, half)),
    }


def _cast(form: Form, dtype: torch.dtype) -> Form:
    def restore(crops: Tensor) -> Tensor:
        with torch.autocast(crops.device.type, dtype):
            return form(crops).float()

    return restore


def _environment(device: torch.device) -> dict[str, Any]:
    found = {"date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "torch": str(torch.__version__)}
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        found["device"] = f"{card.name}, {card.total_memory >> 20} MiB, CUDA {torch.version.cuda}"
    return found


def _figures(form: Form, crops: Tensor, truth: Tensor) -> dict[str, Any]:
    """Return the PSNR of a form against FP32, with the range of FP32's output as peak, and milliseconds per
    face."""
    restored = form(crops).float()
    error = (restored - truth).square().mean().clamp_min(1e-20)
    figures: dict[str, Any] = {
        "finite": bool(torch.isfinite(restored).all()),
        "dB from FP32": round(float(10 * torch.log10((truth.max() - truth.min()).square() / error)), 1),
    }
    for batch in BATCHES:
        part = crops[:batch].contiguous()
        for _ in range(3):
            form(part)
        figures[f"ms a face, batch {batch}"] = round(_milliseconds(partial(form, part)) / batch, 3)
    return figures


def _ceilings(device: torch.device) -> dict[str, float]:
    """Return the rates of a large matrix product and a large copy."""
    n = 8192 if device.type == "cuda" else 256
    figures = {}
    for name, dtype in (("FP32", torch.float32), ("FP16", torch.float16), ("BF16", torch.bfloat16)):
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        torch.matmul(a, b)
        figures[f"matrix product {name}, TFLOP/s"] = round(
            2 * n**3 / _milliseconds(partial(torch.matmul, a, b)) / 1e9, 1
        )
    source = torch.randn(4 * n * n, device=device)
    copied = 2 * source.numel() * source.element_size()
    figures["copy, GB/s read and written"] = round(copied / _milliseconds(source.clone) / 1e6, 1)
    host = torch.empty(8, 3, 512, 512, pin_memory=device.type == "cuda")
    figures["upload of 8 crops of 512, ms"] = round(
        _milliseconds(partial(host.to, device, non_blocking=True)), 3
    )
    return figures


def _milliseconds(act: Callable[[], Any]) -> float:
    """Return the median of some turns."""
    times = []
    for _ in range(TURNS):
        _wait()
        start = time.perf_counter()
        act()
        _wait()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
