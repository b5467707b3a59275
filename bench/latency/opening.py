"""Opening forms: what they are opened from is made of a network when it is first needed."""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from base.errors import GpenEdgeError
from bench.latency.entries import Entry, FileKind
from bench.latency.form_process import FormError, FormProcess
from engines.cache import FOLDER_VARIABLE
from export.architectures import load_restoring
from export.exporter import export_package
from export.gpen.checkpoint import load_checkpoint
from export.gpen.layout import Layout
from export.gpen.network import Gpen
from export.parity import portrait
from export.restoring import Form, traced_graphs
from export.tracing import to_onnx


class Opener:
    """What all forms of a network are opened with, in a folder for their files."""

    def __init__(self, layout: Layout, checkpoint: Path | None, folder: Path, threads: int) -> None:
        """Take a checkpoint, or make one of random weights, and a portrait to restore."""
        self._checkpoint = checkpoint or _random_checkpoint(layout, folder)
        self._folder, self._threads, self.crop = folder, threads, folder / "crop.npy"
        np.save(self.crop, portrait(layout.size)[:1].numpy())

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
        """Nothing compiled earlier makes a start warm, and no engine of this network stays in the cache."""
        folders = {"TORCHINDUCTOR_CACHE_DIR": str(self._folder / "inductor")}
        own = {} if isinstance(file, Path) else {FOLDER_VARIABLE: str(self._folder / "engines")}
        return folders | own

    def made(self, kind: FileKind) -> Path:
        """Return a file of the network, or its package's folder; make it if it is not there.

        Raises GpenEdgeError.
        """
        if kind == "checkpoint":
            return self._checkpoint
        if kind == "fp32" or kind == "fp16":
            path = self._folder / kind
            if not path.exists():
                export_package(self._checkpoint, path, precision=kind)
            return path
        path = self._folder / f"{kind}.onnx"
        if not path.exists():
            if kind == "as-published":
                loaded = load_checkpoint(self._checkpoint)
                _export_as_it_is(Gpen.from_state(loaded.layout, loaded.state), path, loaded.layout.size)
            else:
                _, network = load_restoring(self._checkpoint)
                form: Form = "winograd" if kind == "winograd" else "exact"
                graph = traced_graphs(network, fused=True, form=form)["fused"]
                onnx.save(to_onnx(graph, opset=17), path)
        return path


def _random_checkpoint(layout: Layout, folder: Path) -> Path:
    torch.manual_seed(0)
    network = Gpen(layout)
    for name, parameter in network.named_parameters():
        if name.endswith("noise.weight"):  # zero at first, which would cut the encoder's features off
            torch.nn.init.normal_(parameter)
    path = folder / "random.pth"
    torch.save(network.state_dict(), path)
    return path


def _export_as_it_is(network: Gpen, path: Path, size: int) -> None:
    """Export the published form with its weights that depend on the latent: what other tools ship.

    The exporter takes a kernel that is computed only where its shape is a constant, so the form is first
    written down for a batch of one.
    """
    crop = torch.zeros(1, 3, size, size)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's notes on constants
        torch.onnx.export(
            make_fx(network.eval())(crop),
            (crop,),
            str(path),
            input_names=["input"],
            output_names=["output"],
            opset_version=17,
            dynamo=False,
        )
