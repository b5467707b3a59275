"""The rows of the latency table: the forms that are run, and their files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from bench.latency.forms import Way
from engines.package import Package

FileKind: TypeAlias = Literal["checkpoint", "as-published", "static", "winograd", "fp32", "fp16"]
"""The checkpoint, the whole network as one ONNX file in three forms, a package in two precisions."""

PUBLISHED = "published"
"""The row of the published form on a CPU, the FP32 reference of a network."""
BASELINES = (f"{PUBLISHED}-gpu-fp32", PUBLISHED)
"""The first of them that runs is the baseline for the other times."""
NEEDS_PORTRAITS = "INT8 is calibrated on portraits: give --model one of python -m calibration int8"
SLOW_TO_COMPILE = "takes minutes on a CPU: --compile"
ON_GPU = {"device": "cuda:0"}
IN_PYTORCH = {"device": "cuda"}
PACKAGE_WAYS = {
    "": ("ONNX Runtime", Way("package")),
    "-auto": ("the runtime's own choice", Way("auto")),
    "-openvino": ("OpenVINO", Way("package", {"backend": "openvino"})),
    "-cuda": ("ONNX Runtime, CUDA", Way("package", {**ON_GPU, "provider": "cuda"})),
    "-tensorrt-provider": ("ONNX Runtime, TensorRT", Way("package", {**ON_GPU, "provider": "tensorrt"})),
    "-tensorrt": ("TensorRT", Way("package", {**ON_GPU, "backend": "tensorrt"})),
    "-tensorrt-rtx": ("TensorRT-RTX", Way("package", {**ON_GPU, "backend": "tensorrt-rtx"})),
}
"""Title and way, by the part after the row's name."""


@dataclass(frozen=True)
class Entry:
    """One row."""

    name: str
    title: str
    way: Way
    file: FileKind | Path
    """What it is opened from: made of the network, or a package."""
    one_at_once: bool = False
    """Whether only single faces are timed, because larger batches fail or would compile for minutes."""
    lacks: str | None = None
    """Requirements that this machine does not meet."""
    reference: str | None = PUBLISHED
    """The row that computes the same in FP32, if there is one."""

    def why_not(self) -> str | None:
        """Return why it cannot run here; None if it can."""
        return self.way.why_not() or self.lacks


def network_entries(*, compiled: bool) -> tuple[Entry, ...]:
    """Return the rows of a network.

    compiled  torch.compile may take its minutes on a CPU
    """
    onnx, as_compiled = Way("onnxruntime"), {"compiled": "yes"}
    on_gpu = IN_PYTORCH | as_compiled
    slow = None if compiled else SLOW_TO_COMPILE
    title = "published form, torch.compile"
    return (
        *_published(PUBLISHED),
        Entry("compiled-gpu", f"{title}, GPU FP32", Way("torch", on_gpu), "checkpoint", True),
        Entry("compiled", title, Way("torch", as_compiled), "checkpoint", True, lacks=slow),
        Entry("as-published", "published form exported as it is, ONNX Runtime", onnx, "as-published", True),
        Entry("static-torch", "static form, eager PyTorch", Way("torch-static"), "checkpoint"),
        Entry("static", "static form, ONNX Runtime", onnx, "static"),
        Entry("winograd", "static form with Winograd, ONNX Runtime", onnx, "winograd"),
        Entry("openvino", "static form, OpenVINO", Way("openvino"), "static"),
        Entry(
            "openvino-bf16", "static form, OpenVINO bf16", Way("openvino", {"precision": "bf16"}), "static"
        ),
        Entry(
            "openvino-int8",
            "static form, OpenVINO INT8",
            PACKAGE_WAYS["-openvino"][1],
            "fp32",
            lacks=NEEDS_PORTRAITS,
        ),
        *(_of_package(name, "fp32") for name in ("-auto", "-cuda", "-tensorrt-provider")),
        *_engines("-tensorrt"),
        *_engines("-tensorrt-rtx"),
    )


def _of_package(name: str, precision: str, file: FileKind = "fp32", lacks: str | None = None) -> Entry:
    """Return a row of the network as the runtime runs it."""
    title, way = PACKAGE_WAYS[name]
    if way.builds_engines:
        name, title = f"{name}-{precision}", f"{title} {precision.upper()}"
    return Entry(name.removeprefix("-"), f"static form, {title}", way, file, lacks=lacks)


def _engines(name: str) -> Iterable[Entry]:
    return (
        _of_package(name, "fp32"),
        _of_package(name, "fp16", "fp16"),
        _of_package(name, "int8", lacks=NEEDS_PORTRAITS),
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
                _named(package) + name,
                f"{package.manifest.name} {package.manifest.precision.upper()}, {title}",
                way,
                package.folder,
                reference=in_fp32.get(package.manifest.source.sha256),
            )
            for package in packages
            for name, (title, way) in PACKAGE_WAYS.items()
        ),
    )


def _named(package: Package) -> str:
    return f"{package.manifest.name}-{package.manifest.precision}"


def _published(reference: str | None) -> Iterable[Entry]:
    for precision, dtype in (("fp32", "float32"), ("fp16", "float16"), ("bf16", "bfloat16")):
        yield Entry(
            f"{PUBLISHED}-gpu-{precision}",
            f"published form, eager PyTorch, GPU {precision.upper()}",
            Way("torch", {**IN_PYTORCH, "precision": dtype}),
            "checkpoint",
            reference=reference,
        )
    yield Entry(PUBLISHED, "published form, eager PyTorch", Way("torch"), "checkpoint", reference=reference)
