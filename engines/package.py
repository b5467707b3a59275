"""Model packages: a folder of ONNX graphs and the manifest that vouches for them (design §5)."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from base.errors import PackageError
from base.files import json_bytes, sha256

SCHEMA = 2
"""Version of the manifest's form; raised when a reader of the old form would misread a new one."""
FIRST_SCHEMA = 1
"""The oldest form that is still read."""
MANIFEST = "manifest.json"
OLDER_LATENTS = "latents-*.npy"
"""Latent statistics that older versions kept in a package; nothing reads them."""
QUANTISATION_CHART = "quantisation.png"
"""The trade-off of an INT8 package, to look at."""
BUNDLED = Path(__file__).parent / "packages"
DEFAULT = "default"
"""Name of the bundled package that is used when the user names none."""

GraphName = Literal["encoder", "mapping", "generator", "step", "fused", "parsing"]
Number = int | float | bool
Template = Literal["published", "ffhq"]
"""Where a network expects eyes, nose and mouth in its crops: as published with GPEN, or as in FFHQ."""
Loop = Literal["moved", "held", "renewed"]
"""What the latent loop updates between two passes of the network; it follows from how a network was trained.

moved    the latent code; features stay those of the first pass
held     nothing: one pass, as its latent code encodes how damaged the crop is
renewed  everything: each pass encodes the present estimate
"""
RESTORING: tuple[GraphName, ...] = ("encoder", "mapping", "generator")
"""The way of a crop, in this order; `step` and `fused` are made of the same layers."""
REQUIRED: tuple[GraphName, ...] = (*RESTORING, "step")


@dataclass(frozen=True)
class Port:
    """An input or output of a graph."""

    name: str
    dtype: Literal["float32", "float16"]
    shape: tuple[int | str, ...]
    """Lengths; the batch is the string "batch" where any will do."""


@dataclass(frozen=True)
class Graph:
    """One ONNX file of a package."""

    file: str
    sha256: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True)
class Source:
    """The checkpoint that a package was made from."""

    sha256: str
    licence: str


@dataclass(frozen=True)
class Latents:
    """What portraits showed of the latent: written by `python -m calibration latents`."""

    portraits: int
    """How many were measured; 0 where none was yet, and `held` is only what suits this kind of network."""
    gain_of_moving: float = 0.0
    """dB that damaged portraits won by moving their latent in the loop (in the renewed loop, by its further
    passes), at the damage where it was least."""
    held: bool = False
    """Moving the latent loses too much (`calibration.moving`); see `Manifest.loop_kind`."""


@dataclass(frozen=True)
class QuantisedLayer:
    """Convolutions that are quantised together or not at all."""

    name: str
    graph: GraphName
    convolutions: tuple[str, ...]
    """Names of the nodes."""
    share: float
    """Of the MACs of encoder and generator."""
    precision: Literal["int8", "fp32"]
    psnr_alone: float
    """dB against FP32 with this layer alone in INT8."""
    methods: dict[str, str]
    """How the range of each value that it reads was found."""
    ranges: dict[str, float]
    """±T of these values."""


@dataclass(frozen=True)
class Trial:
    """A layer that was tried in INT8 together with those kept before it."""

    layer: str
    share: float
    """Of the MACs in INT8 with it."""
    psnr: float
    worst_psnr: float
    """Of the worst portrait."""
    kept: bool


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """How a package became INT8, by `python -m calibration int8`."""

    target: Literal["gpu", "cpu"]
    """What it was made for. A CPU runs what is for GPUs, slowly; TensorRT refuses what is for CPUs."""
    portraits: int
    held_out: int
    """Of them: those that the quality was measured on."""
    seed: int
    least_psnr: float
    """dB that were asked for."""
    least_share: float
    psnr: float
    """dB against FP32, over the held-out portraits."""
    worst_psnr: float
    share: float
    """Of the MACs in INT8, of encoder and generator."""
    linear_weights: tuple[GraphName, ...]
    """Graphs whose linear layers have their weights in a byte each, in every graph; they compute in FP32."""
    layers: tuple[QuantisedLayer, ...]
    curve: tuple[Trial, ...]
    """In the order they were tried."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a package says of itself."""

    schema: int = SCHEMA
    name: str
    network: dict[str, str | Number]
    """`kind`, and the numbers that were read off its tensors."""
    size: int
    """S: height and width of the crops."""
    template: Template
    """Where the network expects eyes, nose and mouth in a crop."""
    precision: Literal["fp32", "fp16", "int8"]
    winograd: bool = False
    """Wide layers are computed by Winograd's filtering: made for CPUs, slower on GPUs."""
    opset: int
    batch: Literal[1] | None = None
    """The only batch that the graphs take, in static shapes; None where any will do. Not of `parsing`."""
    weights: Literal["fp32", "fp16"] = "fp32"
    """How the weights lie in the files: stored as FP16 they are cast to FP32 before use."""
    loop: Loop | None = None
    """None, as in older manifests: `loop_kind` follows from the latent statistics."""
    source: Source
    parsing_source: Source | None = None
    """Where the face-parsing network comes from, if the package has one."""
    graphs: dict[GraphName, Graph]
    latents: Latents | None = None
    """None where nobody has measured them: then the loop moves the latent."""
    quantisation: Quantisation | None = None
    """Of an INT8 package."""

    def __post_init__(self) -> None:
        if "kind" not in self.network:
            raise ValueError("`network` has no `kind`")

    @property
    def restoring_graphs(self) -> dict[GraphName, Graph]:
        """Return the graphs that restore: all but the face-parsing network."""
        return {name: graph for name, graph in self.graphs.items() if name != "parsing"}

    @property
    def latent_width(self) -> int:
        """Return the width of z and of w."""
        return int(self.graphs["mapping"].outputs[0].shape[1])

    @property
    def summary(self) -> str:
        """Describe the network in a line."""
        numbers = (
            f", {name.replace('_', ' ')} {value}" for name, value in self.network.items() if name != "kind"
        )
        return (
            f"{self.name}: {self.network['kind']}, S={self.size}{''.join(numbers)}, template {self.template}"
        )

    @property
    def loop_kind(self) -> Loop:
        """Return what the loop updates: what `loop` names, else what the latent statistics found."""
        if self.loop is not None:
            return self.loop
        return "held" if self.latents is not None and self.latents.held else "moved"

    @property
    def holds_latent(self) -> bool:
        """Say whether the loop keeps the first latent, and so takes one pass."""
        return self.loop_kind == "held"

    @property
    def moves_latent(self) -> bool:
        """Say whether `step` encodes the estimate and moves the latent; else it only moves the estimate."""
        return any(port.name == "w" for port in self.graphs["step"].inputs)


@dataclass(frozen=True)
class Package:
    """A package on disk whose files are those that its manifest names."""

    folder: Path
    manifest: Manifest

    def graph(self, name: GraphName) -> Path:
        """Return the file of a graph. Raises PackageError when the package does not have it."""
        if name not in self.manifest.graphs:
            how = (
                "add it with python -m export parsing"
                if name == "parsing"
                else f"export it again with --{name}"
            )
            raise PackageError(f"package {self.folder} has no {name}.onnx: {how}")
        return self.folder / self.manifest.graphs[name].file


def open_package(where: str | Path | None = None) -> Package:
    """Open a package and check every file against its hash.

    where   the folder, or the name of a bundled package; None is the bundled default

    Raises PackageError when the folder, its manifest or a graph is missing, truncated, changed or foreign.
    """
    try:
        folder = _find(where)
        manifest = _read_manifest(folder)
        for name in REQUIRED:
            if name not in manifest.graphs:
                raise PackageError(
                    f"package {folder}: {MANIFEST} names no {name} graph: export the checkpoint again"
                )
        for graph in manifest.graphs.values():
            _check(folder, graph)
    except OSError as error:
        raise PackageError(
            f"cannot read the package {where or DEFAULT}: {error.strerror or error}"
        ) from error
    return Package(folder, manifest)


def bundled_packages() -> tuple[str, ...]:
    """Return the names of the packages that come with this one."""
    return tuple(sorted(path.parent.name for path in BUNDLED.glob(f"*/{MANIFEST}")))


@contextmanager
def new_package(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give an empty folder to fill; it takes its final name only when the block ends well.

    Raises PackageError when something is there already (unless `overwrite`, which replaces a package and
    nothing else) or the folder cannot be written.
    """
    with _replacing(folder) as filled:
        check_free(folder, overwrite=overwrite)
        filled.mkdir()
        yield filled


@contextmanager
def changed_package(folder: Path) -> Iterator[Path]:
    """Give a copy of a package to change; it takes the package's place only when the block ends well.

    Raises PackageError when the folder cannot be read or written.
    """
    folder = folder.resolve()  # a link stays one
    with _replacing(folder) as filled:
        shutil.copytree(folder, filled)
        yield filled


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Give a path beside a folder; what is made there takes the folder's place when the block ends well."""
    try:
        anchor = next(parent for parent in folder.absolute().parents if parent.exists())
        with tempfile.TemporaryDirectory(prefix=".package-", dir=anchor) as temporary:
            filled = Path(temporary) / "filled"
            yield filled
            folder.parent.mkdir(parents=True, exist_ok=True)
            _put_in_place(filled, folder, Path(temporary) / "replaced")
    except OSError as error:
        raise PackageError(f"cannot write the package {folder}: {error.strerror or error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into a package's folder."""
    (folder / MANIFEST).write_bytes(json_bytes(manifest))


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raise PackageError when a package cannot be put there, as `new_package` does."""
    if not folder.exists():
        return
    if not folder.is_dir() or not _is_only_a_package(folder):
        raise PackageError(f"output {folder} is there already and is not just a package: give another")
    if not overwrite:
        raise PackageError(f"output {folder} is there already: give another, or --overwrite")


def _is_only_a_package(folder: Path) -> bool:
    """Return whether a folder is empty, or holds a manifest and nothing that is not a package's."""
    paths = list(folder.iterdir())
    return not paths or (all(map(_is_ours, paths)) and _is_manifest(folder / MANIFEST))


def _is_manifest(file: Path) -> bool:
    """Return whether a file is the manifest of a package, of whatever version."""
    try:
        found = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(found, dict) and {"schema", "graphs"} <= found.keys()


def _is_ours(path: Path) -> bool:
    return path.is_file() and (
        path.name in (MANIFEST, QUANTISATION_CHART) or path.suffix == ".onnx" or path.match(OLDER_LATENTS)
    )


def _put_in_place(filled: Path, folder: Path, replaced: Path) -> None:
    """Rename a folder to its final name; what is there goes out of the way, and back should that fail."""
    if not folder.exists():
        filled.rename(folder)
        return
    folder.rename(replaced)
    try:
        filled.rename(folder)
    except OSError:
        replaced.rename(folder)
        raise


def _find(where: str | Path | None) -> Path:
    folder = BUNDLED / DEFAULT if where is None else Path(where)
    if not folder.is_dir() and str(where) in bundled_packages():
        folder = BUNDLED / str(where)
    if folder.is_file():
        raise PackageError(
            f"{folder} is a file; a package is a folder with {MANIFEST} (see python -m export)"
        )
    if not folder.is_dir():
        names = ", ".join(bundled_packages()) or "none"
        raise PackageError(
            f"no package {folder}: give a folder made by python -m export, or a bundled name ({names})"
        )
    return folder


def _read_manifest(folder: Path) -> Manifest:
    try:
        data = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise PackageError(
            f"{folder} is not a package: it has no {MANIFEST} (see python -m export)"
        ) from None
    try:
        schema = msgspec.json.decode(data, type=_Schema).schema
        if not FIRST_SCHEMA <= schema <= SCHEMA:
            raise PackageError(
                f"package {folder} has manifest schema {schema}, "
                f"this version reads {FIRST_SCHEMA} to {SCHEMA}: "
                f"{'update gpen-edge' if schema > SCHEMA else 'export the checkpoint again'}"
            )
        content = msgspec.json.decode(data)
        return msgspec.convert(content if schema == SCHEMA else _from_first_schema(content), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(f"package {folder}: {MANIFEST} is damaged or foreign: {error}") from error


class _Schema(msgspec.Struct):
    schema: int


def _from_first_schema(content: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest of schema 1, which knew GPEN networks only, in the present form."""
    first = msgspec.convert(content, type=_FirstNumbers)
    rest = {name: value for name, value in content.items() if name not in first.__struct_fields__}
    return {
        **rest,
        "schema": SCHEMA,
        "network": {"kind": "gpen", **msgspec.structs.asdict(first)},
        "template": "published",
    }


class _FirstNumbers(msgspec.Struct):
    channel_multiplier: int
    narrow: float
    style_dim: int
    n_mlp: int


def _check(folder: Path, graph: Graph) -> None:
    if Path(graph.file).name != graph.file:
        raise PackageError(f"package {folder}: its file {graph.file!r} lies outside the package")
    path, name = folder / graph.file, graph.file if graph.file.isprintable() else ascii(graph.file)
    if not path.is_file():
        raise PackageError(f"package {folder}: {name} is missing: export the checkpoint again")
    if sha256(path) != graph.sha256:
        raise PackageError(
            f"package {folder}: {name} is not the file that {MANIFEST} names (truncated or changed): "
            "export the checkpoint again"
        )
