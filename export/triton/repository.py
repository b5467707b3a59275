"""A model repository: a folder for each model, with its configuration and, under its version, its files."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from base.errors import PackageError
from base.text import cause_of, one_line
from engines.package import MANIFEST, REQUIRED, GraphName, Package, put_in_place
from export.triton.model_config import (
    Serving,
    classic_config,
    graph_config,
    loop_config,
    photo_config,
)
from export.triton.plans import DEFAULT, Plans
from export.triton.text_format import text_of

CONFIG = "config.pbtxt"
VERSION = "1"
"""Of each model: the folder that Triton reads."""
_ENTRY = '''"""{about}

The code is in the package gpen-edge, which has to be installed where Triton runs Python models.
"""

from runtime.triton.{module} import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


@dataclass(frozen=True)
class Model:
    """A model of a repository."""

    config: dict[str, Any]
    copies: dict[str, Path]
    """Files to copy into its version, by their names there."""
    entry: str = ""
    """The content of its `model.py`."""

    @property
    def name(self) -> str:
        """Return Triton's name of it."""
        return str(self.config["name"])


def write_repository(
    folder: Path,
    package: Package,
    serving: Serving,
    plans: Plans | None = None,
    *,
    overwrite: bool = False,
) -> list[str]:
    """Write the models of a package into a repository, which may hold others; return their names.

    Nothing is written unless everything can be.

    plans      run the graphs as TensorRT plans; None runs them in ONNX Runtime
    overwrite  replace models of these names

    Raises PackageError if a model exists or cannot be written.
    """
    models = list(models_of(package, serving, plans))
    _check_free(folder, models, overwrite=overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".models-", dir=_beside(folder)) as temporary:
            new, old = Path(temporary) / "new", Path(temporary) / "old"
            old.mkdir()
            for model in models:
                _write(new / model.name, model)
            for model in models:
                put_in_place(new / model.name, folder / model.name, old / model.name)
    except OSError as error:
        raise PackageError(f"cannot write the repository {one_line(folder)}: {cause_of(error)}") from error
    return [model.name for model in models]


def models_of(package: Package, serving: Serving, plans: Plans | None = None) -> Iterator[Model]:
    """Yield the models of a package: its graphs, then the models that call them."""
    manifest = package.manifest
    if manifest.batch == 1:
        serving = replace(serving, max_batch=0)
    elif plans is not None:
        serving = replace(serving, max_batch=min(serving.max_batch, plans.max_batch))
    for graph in REQUIRED:
        yield _graph(graph, package, serving, plans)
    yield Model(classic_config(manifest, serving), {})
    manifest_file = {MANIFEST: package.folder / MANIFEST}
    about = f"The loop of {serving.prefix}: crops in, restored crops out."
    yield Model(
        loop_config(manifest, serving), manifest_file, _ENTRY.format(about=about, module="loop_model")
    )
    about = f"Whole photos restored with {serving.prefix}: bytes in, bytes and a report out."
    parsing = {"parsing.onnx": package.graph("parsing")} if "parsing" in manifest.graphs else {}
    entry = _ENTRY.format(about=about, module="photo_model")
    yield Model(photo_config(serving), manifest_file | parsing, entry)


def prefix_of(name: str) -> str:
    """Return a package's name as a part of models' names: letters, digits, `_`, `-` and `.` only."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._") or "package"


def _graph(graph: GraphName, package: Package, serving: Serving, plans: Plans | None) -> Model:
    if plans is None:
        config = graph_config(graph, package.manifest, serving)
        return Model(config, {"model.onnx": package.graph(graph)})
    named = {
        capability: "model.plan" if capability == DEFAULT else f"model-{capability}.plan"
        for capability in plans.files[graph]
    }
    config = graph_config(graph, package.manifest, serving, named)
    return Model(config, {named[capability]: path for capability, path in plans.files[graph].items()})


def _beside(folder: Path) -> Path:
    """Return where new models are written before they are moved into a repository.

    That is on the same file system, and in the repository itself, where a server might see them, only if it
    is mounted there, as in a container.
    """
    place = folder.resolve()
    return place if place.is_mount() else place.parent


def _check_free(folder: Path, models: list[Model], *, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise PackageError(f"the repository {one_line(folder)} is a file: name a folder")
    for model in models:
        place = folder / model.name
        if not place.exists():
            continue
        if not overwrite:
            raise PackageError(
                f"the repository {one_line(folder)} already has {model.name}: give another --name, "
                "or add --overwrite"
            )
        if {path.name for path in place.iterdir()} - {CONFIG, VERSION}:
            raise PackageError(f"{one_line(place)} is not just a model of this command: name another folder")


def _write(folder: Path, model: Model) -> None:
    version = folder / VERSION
    version.mkdir(parents=True)  # Triton expects one even for an ensemble, which has no files
    (folder / CONFIG).write_text(text_of(model.config), encoding="ascii")
    for name, source in model.copies.items():
        shutil.copyfile(source, version / name)
    if model.entry:
        (version / "model.py").write_text(model.entry, encoding="utf-8")
