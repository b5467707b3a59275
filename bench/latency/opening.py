"""Open forms; the files they need are made from a network on first use."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from base.errors import GpenEdgeError
from base.text import cause_of
from bench.latency.entries import Entry, FileKind
from bench.latency.form_process import FormError, FormProcess
from bench.latency.network import Network
from engines.cache import FOLDER_VARIABLE
from export.architectures import load_restoring, random_restoring
from export.exporter import ExportOptions, export_package
from export.parity import portrait
from export.restoring import Form, traced_graphs
from export.tracing import to_onnx


class Opener:
    """Opens all forms of a network; their files are kept in one folder."""

    def __init__(self, network: Network, checkpoint: Path | None, folder: Path, threads: int) -> None:
        """Load a checkpoint, or make one with random weights, and choose a portrait to restore."""
        self._checkpoint = checkpoint or _random_checkpoint(network, folder)
        self._folder, self._threads, self.crop = folder, threads, folder / "crop.npy"
        np.save(self.crop, portrait(network.size)[:1].numpy())

    def open(self, entry: Entry) -> FormProcess:
        """Start a form's process. Raises FormError."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            file = entry.file if isinstance(entry.file, Path) else self.made(entry.file)
        except GpenEdgeError as error:
            raise FormError(str(error)) from error

        def start() -> FormProcess:
            return FormProcess(
                entry.way, file, self.crop, folder, self._threads, self._environment(entry.file)
            )

        if entry.way.builds_engines:
            start().close()  # once before it counts
        return start()

    def _environment(self, file: FileKind | Path) -> Mapping[str, str]:
        """Return variables that isolate caches: every start is cold, and no engines remain afterwards."""
        folders = {"TORCHINDUCTOR_CACHE_DIR": str(self._folder / "inductor")}
        own = {} if isinstance(file, Path) else {FOLDER_VARIABLE: str(self._folder / "engines")}
        return folders | own

    def made(self, kind: FileKind) -> Path:
        """Return a file of the network, or its package's folder, and make it if it does not exist.

        Raises GpenEdgeError.
        """
        if kind == "checkpoint":
            return self._checkpoint
        if kind == "fp32" or kind == "fp16":
            path = self._folder / kind
            if not path.exists():
                export_package(self._checkpoint, path, ExportOptions(precision=kind))
            return path
        path = self._folder / f"{kind}.onnx"
        if not path.exists():
            _, network = load_restoring(self._checkpoint)
            if kind == "as-published":
                _export_as_it_is(network.module, path, network.size)
            else:
                form: Form = "winograd" if kind == "winograd" else "exact"
                graph = traced_graphs(network, fused=True, form=form)["fused"]
                onnx.save(to_onnx(graph, opset=17), path)
        return path


def _random_checkpoint(network: Network, folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / "random.pth"
    torch.save(random_restoring(network.kind, network.sizes).state_dict(), path)
    return path


def _export_as_it_is(network: nn.Module, path: Path, size: int) -> None:
    """Export the published form with weights that depend on the latent, as other tools do.

    The exporter accepts computed kernels only if their shape is constant, so the form is first traced with a
    batch of one. Raises GpenEdgeError if it does not accept the form all the same.
    """
    crop = torch.zeros(1, 3, size, size)
    with torch.no_grad(), warnings.catch_warnings(), _one_line_errors():
        warnings.simplefilter("ignore")  # the tracer's notes on constants
        torch.onnx.export(
            _with_sizes_alone(make_fx(network.eval())(crop)),
            (crop,),
            str(path),
            input_names=["input"],
            output_names=["output"],
            opset_version=17,
            dynamo=False,
        )


def _with_sizes_alone(traced: GraphModule) -> GraphModule:
    """Return a network whose bilinear resampling is given sizes alone; the exporter cannot read factors."""
    for node in traced.graph.nodes:
        if node.target is torch.ops.aten.upsample_bilinear2d.default:
            node.args = node.args[:3]
    traced.recompile()
    return traced


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # its errors have no common base
        raise GpenEdgeError(f"PyTorch's exporter does not take it: {cause_of(error)}") from None
