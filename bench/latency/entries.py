"""The rows of the latency table: what is run, and from what."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from bench.latency.forms import WAYS
from engines.package import Package

FileKind: TypeAlias = Literal["checkpoint", "as-published", "static", "winograd", "fp32", "fp16"]
"""The checkpoint, the whole network as one ONNX file in three forms, a package in two precisions."""

PUBLISHED = "published"
"""The row of the published form on a CPU: what FP32 means for a network."""
BASELINES = (f"{PUBLISHED}-gpu-fp32", PUBLISHED)
"""The first of them that runs is what the others' times are compared with."""
NEEDS_PORTRAITS = "INT8 is calibrated on portraits: give --package one of python -m calibration int8"
SLOW_TO_COMPILE = "takes minutes on a CPU: --compile"
PACKAGE_WAYS = {
    "package": "ONNX Runtime",
    "package-cuda": "ONNX Runtime, CUDA",
    "package-tensorrt-provider": "ONNX Runtime, TensorRT",
    "package-tensorrt": "TensorRT",
    "package-tensorrt-rtx": "TensorRT-RTX",
}


@dataclass(frozen=True)
class Entry:
    """One row."""

    name: str
    title: str
    way: str
    """Of `bench.forms.WAYS`."""
    file: FileKind | Path
    """What it is opened from: made of the network, or a package."""
    one_at_once: bool = False
    """It takes no larger batch, or compiles for minutes anew."""
    lacks: str | None = None
    """What it cannot do without, and does not have here."""
    reference: str | None = PUBLISHED
    """The row that computes the same in FP32, if there is one."""

    def why_not(self) -> str | None:
        """Say why it cannot run here, if so."""
        return WAYS[self.way].why_not() or self.lacks


def network_entries(*, compiled: bool) -> tuple[Entry, ...]:
    """Return the rows of a network.

    compiled  torch.compile may take its minutes on a CPU
    """
    return (
        *_published(PUBLISHED),
        Entry(
            "compiled-gpu",
            "published form, torch.compile, GPU FP32",
            "torch-gpu-compile",
            "checkpoint",
            one_at_once=True,
        ),
        Entry(
            "compiled",
            "published form, torch.compile",
            "torch-compile",
            "checkpoint",
            one_at_once=True,
            lacks=None if compiled else SLOW_TO_COMPILE,
        ),
        Entry(
            "as-published",
            "published form exported as it is, ONNX Runtime",
            "onnxruntime",
            "as-published",
            one_at_once=True,
        ),
        Entry("static-torch", "static form, eager PyTorch", "torch-static", "checkpoint"),
        Entry("static", "static form, ONNX Runtime", "onnxruntime", "static"),
        Entry("winograd", "static form with Winograd, ONNX Runtime", "onnxruntime", "winograd"),
        Entry("openvino", "static form, OpenVINO", "openvino", "static"),
        Entry("cuda", "static form, ONNX Runtime, CUDA", "package-cuda", "fp32"),
        Entry(
            "tensorrt-provider",
            "static form, ONNX Runtime, TensorRT",
            "package-tensorrt-provider",
            "fp32",
        ),
        *_engines("tensorrt", "TensorRT"),
        *_engines("tensorrt-rtx", "TensorRT-RTX"),
    )


def package_entries(packages: Sequence[Package]) -> tuple[Entry, ...]:
    """Return the rows of packages, side by side, below the published form of the same layout.

    The published form has other weights; packages of one checkpoint are compared with the FP32 one.
    """
    in_fp32 = {
        package.manifest.source.sha256: _named(package)
        for package in packages
        if package.manifest.precision == "fp32"
    }
    return (
        *_published(None),
        *(
            Entry(
                _named(package) + way.removeprefix("package"),
                f"{package.manifest.name} {package.manifest.precision.upper()}, {title}",
                way,
                package.folder,
                reference=in_fp32.get(package.manifest.source.sha256),
            )
            for package in packages
            for way, title in PACKAGE_WAYS.items()
        ),
    )


def _named(package: Package) -> str:
    return f"{package.manifest.name}-{package.manifest.precision}"


def _published(reference: str | None) -> Iterable[Entry]:
    for precision in ("fp32", "fp16", "bf16"):
        yield Entry(
            f"{PUBLISHED}-gpu-{precision}",
            f"published form, eager PyTorch, GPU {precision.upper()}",
            f"torch-gpu-{precision}",
            "checkpoint",
            reference=reference,
        )
    yield Entry(PUBLISHED, "published form, eager PyTorch", "torch", "checkpoint", reference=reference)


def _engines(runtime: str, title: str) -> Iterable[Entry]:
    def entry(precision: str, file: FileKind, lacks: str | None = None) -> Entry:
        return Entry(
            f"{runtime}-{precision}",
            f"static form, {title} {precision.upper()}",
            f"package-{runtime}",
            file,
            lacks=lacks,
        )

    return entry("fp32", "fp32"), entry("fp16", "fp16"), entry("int8", "fp32", NEEDS_PORTRAITS)
