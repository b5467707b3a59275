"""TensorRT plans for a model repository: engines that were built on each kind of GPU."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from base.errors import EngineError
from base.files import sha256
from base.text import cause_of, one_line
from engines.engine_files import ENGINE, read_record
from engines.package import REQUIRED, GraphName, Package
from engines.record import EngineKey
from engines.targets import AMPERE_PLUS

DEFAULT = "default"
"""The key of the plan for all GPUs without one of their own."""
_SM = re.compile(r"\bsm_([0-9]+)([0-9])\b")


@dataclass(frozen=True)
class Plans:
    """The plans of a package."""

    files: dict[GraphName, dict[str, Path]]
    """The engine of each graph, by compute capability such as `8.9`, or DEFAULT."""
    version: str
    """Of TensorRT: Triton must have the same."""
    max_batch: int


def find_plans(folder: Path, package: Package) -> Plans:
    """Return the TensorRT engines of a package in a folder made by `python -m engines build --output`.

    Raises EngineError if there are none, if one is damaged, or if they do not go together.
    """
    try:
        found = list(_found(folder, package))
    except OSError as error:
        raise EngineError(f"cannot read the engines in {one_line(folder)}: {cause_of(error)}") from error
    build = (
        f"python -m engines build {one_line(package.folder)} --runtime tensorrt --output {one_line(folder)}"
    )
    if not found:
        raise EngineError(
            f"{one_line(folder)} has no TensorRT engine of {package.manifest.name}: run `{build}` on each GPU"
        )
    versions = sorted({key.version for key, _ in found})
    if len(versions) > 1:
        raise EngineError(
            f"the engines in {one_line(folder)} are of several versions of TensorRT ({', '.join(versions)}), "
            "but a server has one: keep those of one version"
        )
    files: dict[GraphName, dict[str, Path]] = {graph: {} for graph in REQUIRED}
    for key, path in found:
        capability = _capability(key)
        if other := files[key.graph].get(capability):
            raise EngineError(
                f"{one_line(folder)} has two engines of {key.graph} for compute capability {capability}, "
                f"which Triton cannot tell apart, {one_line(other.name)} and {one_line(path.name)}: keep one"
            )
        files[key.graph][capability] = path
    for capability in dict.fromkeys(each for by_capability in files.values() for each in by_capability):
        if missing := [graph for graph in REQUIRED if capability not in files[graph]]:
            raise EngineError(
                f"{one_line(folder)} has no engine of {missing[0]} for compute capability {capability}: "
                f"run `{build}` there again"
            )
    return Plans(files, versions[0], min(key.max_batch for key, _ in found))


def _found(folder: Path, package: Package) -> Iterator[tuple[EngineKey, Path]]:
    graphs = package.manifest.graphs
    for path in sorted(folder.glob(f"*{ENGINE}")):
        record = read_record(path)
        if record is None or record.key.runtime != "tensorrt" or record.key.graph not in REQUIRED:
            continue
        if graphs[record.key.graph].sha256 != record.key.graph_sha256:
            continue
        if sha256(path) != record.sha256:
            raise EngineError(f"the engine {one_line(path)} is damaged: copy it again")
        yield record.key, path


def _capability(key: EngineKey) -> str:
    """Return the compute capability that an engine is for, as Triton writes it."""
    if key.target == AMPERE_PLUS:
        return DEFAULT
    found = _SM.search(key.target)
    if found is None:
        raise EngineError(
            f"the engine {key.stem} is for {one_line(key.target)}, which Triton cannot tell apart"
        )
    return f"{found[1]}.{found[2]}"
