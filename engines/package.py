"""Model packages: a folder of ONNX graphs and the manifest with their hashes (design §5)."""

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
from base.text import one_line

SCHEMA = 2
"""Version of the manifest's format; raise it when a reader of the old format would misread a new manifest."""
FIRST_SCHEMA = 1
"""The oldest version that can still be read."""
MANIFEST = "manifest.json"
OLDER_LATENTS = "latents-*.npy"
"""File that held latent statistics in older versions; no longer read."""
QUANTISATION_CHART = "quantisation.png"
"""Chart of an INT8 package's trade-off, for people."""
BUNDLED = Path(__file__).parent / "packages"
DEFAULT = "default"
"""Name of the bundled package that is used by default."""

GraphName = Literal["encoder", "mapping", "generator", "step", "fused", "parsing", "photo"]
Kind = Literal["face", "photo"]
"""What a package restores: faces, or the rest of the photo."""
PHOTO: Literal["photo"] = "photo"
"""Kind, graph and bundled name of a photo network."""
Number = int | float | bool
Template = Literal["published", "ffhq"]
"""Where a network expects eyes, nose and mouth in its crops: as published with GPEN, or as in FFHQ."""
Loop = Literal["moved", "held", "renewed"]
"""What the latent loop updates between two network passes; it depends on how the network was trained.

moved    the latent code; the features of the first pass are kept
held     nothing: one pass, because the latent code encodes how damaged the crop is
renewed  everything: each pass encodes the current estimate
"""
RESTORING: tuple[GraphName, ...] = ("encoder", "mapping", "generator")
"""In the order in which a crop passes through them; `step` and `fused` combine the same layers."""
REQUIRED: tuple[GraphName, ...] = (*RESTORING, "step")
"""The graphs that a package for faces must have."""


@dataclass(frozen=True)
class Port:
    """An input or output of a graph."""

    name: str
    dtype: Literal["float32", "float16"]
    shape: tuple[int | str, ...]
    """Dimensions; the batch is the string "batch" if any size is accepted."""


@dataclass(frozen=True)
class Graph:
    """One ONNX file of a package."""

    file: str
    sha256: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True)
class Source:
    """The checkpoint that a package was exported from."""

    sha256: str
    licence: str


@dataclass(frozen=True)
class Latents:
    """What updating the latent gains, measured by `python -m calibration latents`."""

    portraits: int
    """Number of portraits measured; 0 if none, in which case `held` is only the default for this kind of
    network.
    """
    gain_of_moving: float = 0.0
    """Gain in dB that damaged portraits get from updating their latent (in the renewed loop, from its later
    passes), at the damage level with the smallest gain.
    """
    held: bool = False
    """Whether updating the latent costs too much (`calibration.latents`); see `Manifest.loop_kind`."""


@dataclass(frozen=True)
class QuantisedLayer:
    """Convolutions that are quantised together or not at all."""

    name: str
    graph: GraphName
    convolutions: tuple[str, ...]
    """Names of the nodes."""
    share: float
    """Share of the MACs of encoder and generator."""
    precision: Literal["int8", "fp32"]
    psnr_alone: float
    """dB against FP32 with only this layer in INT8."""
    methods: dict[str, str]
    """Which method chose the range of each of its inputs."""
    ranges: dict[str, float]
    """±T of these values."""


@dataclass(frozen=True)
class Trial:
    """A layer that was tried in INT8 together with the layers accepted before it."""

    layer: str
    share: float
    """Share of the MACs in INT8, including this layer."""
    psnr: float
    worst_psnr: float
    """Of the worst portrait."""
    kept: bool


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """How a package was converted to INT8 by `python -m calibration int8`."""

    target: Literal["gpu", "cpu"]
    """Target hardware. A CPU runs packages made for GPUs, slowly; TensorRT refuses packages made for CPUs."""
    portraits: int
    held_out: int
    """The portraits among them that quality was measured on."""
    seed: int
    least_psnr: float
    """dB that were asked for."""
    least_share: float
    psnr: float
    """dB against FP32, over the held-out portraits."""
    worst_psnr: float
    share: float
    """Share of the MACs of encoder and generator in INT8."""
    linear_weights: tuple[GraphName, ...]
    """Graphs whose linear layers store their weights in one byte each; they still compute in FP32."""
    layers: tuple[QuantisedLayer, ...]
    curve: tuple[Trial, ...]
    """In the order in which they were tried."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of a package's `manifest.json`."""

    schema: int = SCHEMA
    name: str
    network: dict[str, str | Number]
    """`kind`, and the sizes that were read off its tensors."""
    size: int
    """S: height and width of the crops."""
    template: Template
    """Where the network expects eyes, nose and mouth in a crop."""
    precision: Literal["fp32", "fp16", "int8"]
    winograd: bool = False
    """Whether wide layers use Winograd convolution: faster on CPUs, slower on GPUs."""
    opset: int
    batch: Literal[1] | None = None
    """The only batch size that the graphs accept, with static shapes; None if any is. Not for `parsing`."""
    weights: Literal["fp32", "fp16"] = "fp32"
    """How the weights are stored in the files; FP16 weights are cast to FP32 before use."""
    loop: Loop | None = None
    """None, as in older manifests: `loop_kind` then follows from `latents`."""
    source: Source
    parsing_source: Source | None = None
    """Where the face-parsing network comes from, if the package has one."""
    graphs: dict[GraphName, Graph]
    latents: Latents | None = None
    """None if they were never measured: the loop then updates the latent."""
    quantisation: Quantisation | None = None
    """Of an INT8 package."""

    def __post_init__(self) -> None:
        if "kind" not in self.network:
            raise ValueError("`network` has no `kind`")

    @property
    def kind(self) -> Kind:
        """Return what the package restores."""
        return PHOTO if self.network["kind"] == PHOTO else "face"

    @property
    def required(self) -> tuple[GraphName, ...]:
        """Return the graphs that a package of this kind must have."""
        return (PHOTO,) if self.kind == PHOTO else REQUIRED

    @property
    def restoring_graphs(self) -> dict[GraphName, Graph]:
        """Return the graphs of the restoring network, without face parsing."""
        return {name: graph for name, graph in self.graphs.items() if name != "parsing"}

    @property
    def latent_width(self) -> int:
        """Return the width of z and of w."""
        return int(self.graphs["mapping"].outputs[0].shape[1])

    @property
    def summary(self) -> str:
        """Describe the network in one line."""
        numbers = (
            f", {name.replace('_', ' ')} {value}" for name, value in self.network.items() if name != "kind"
        )
        return (
            f"{self.name}: {self.network['kind']}, S={self.size}{''.join(numbers)}, template {self.template}"
        )

    @property
    def loop_kind(self) -> Loop:
        """Return what the loop updates: the value of `loop`, otherwise what `latents` suggests."""
        if self.loop is not None:
            return self.loop
        return "held" if self.latents is not None and self.latents.held else "moved"

    @property
    def holds_latent(self) -> bool:
        """Return whether the loop keeps the first latent and therefore needs one pass."""
        return self.loop_kind == "held"

    @property
    def moves_latent(self) -> bool:
        """Return whether `step` also encodes the estimate and updates the latent, not only the estimate."""
        return any(port.name == "w" for port in self.graphs["step"].inputs)


@dataclass(frozen=True)
class Package:
    """A package on disk whose files match their hashes in the manifest."""

    folder: Path
    manifest: Manifest

    def graph(self, name: GraphName) -> Path:
        """Return the file of a graph. Raises PackageError if the package does not have it."""
        if name not in self.manifest.graphs:
            how = (
                "add it with `python -m export parsing`"
                if name == "parsing"
                else f"export it again with --{name}"
            )
            raise PackageError(f"package {self.folder} has no {name}.onnx: {how}")
        return self.folder / self.manifest.graphs[name].file


def open_package(where: str | Path | None = None, *, kind: Kind | None = None) -> Package:
    """Open a package and check every file against its hash.

    where   the folder, or the name of a bundled package; None selects the bundled default
    kind    what it must restore; None accepts any

    Raises PackageError if the folder, its manifest or a graph is missing, truncated, changed or foreign, or
    the folder's path is not UTF-8.
    """
    try:
        folder = _find(where)
        _check_name(folder)
        manifest = read_manifest(folder)
        if kind not in (None, manifest.kind):
            raise PackageError(_wrong_kind(folder, manifest))
        for name in manifest.required:
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


def _wrong_kind(folder: Path, manifest: Manifest) -> str:
    if manifest.kind == PHOTO:
        does, option = "restores the rest of a photo, not faces", "--photo-network"
    else:
        does, option = "restores faces, not the rest of a photo", "--model"
    return f"package {folder} {does}: give another; `python -m runtime.restore` takes this one as {option}"


def bundled_packages() -> tuple[str, ...]:
    """Return the names of the bundled packages for faces."""
    return tuple(
        sorted(path.parent.name for path in BUNDLED.glob(f"*/{MANIFEST}") if path.parent.name != PHOTO)
    )


@contextmanager
def new_package(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill; it gets its final name only if the block succeeds.

    Raises PackageError if the path exists (unless `overwrite`, which replaces packages and nothing else) or
    the folder cannot be written.
    """
    with _replacing(folder) as filled:
        check_free(folder, overwrite=overwrite)
        filled.mkdir()
        yield filled


@contextmanager
def changed_package(folder: Path) -> Iterator[Path]:
    """Yield a copy of a package to change; it replaces the package only if the block succeeds.

    Raises PackageError if the folder cannot be read or written.
    """
    folder = folder.resolve()  # keeps a symbolic link a link
    with _replacing(folder) as filled:
        shutil.copytree(folder, filled)
        yield filled


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a path beside a folder; what is created there replaces the folder if the block succeeds."""
    try:
        anchor = next(parent for parent in folder.absolute().parents if parent.exists())
        with tempfile.TemporaryDirectory(prefix=".package-", dir=anchor) as temporary:
            filled = Path(temporary) / "filled"
            yield filled
            folder.parent.mkdir(parents=True, exist_ok=True)
            put_in_place(filled, folder, Path(temporary) / "replaced")
    except OSError as error:
        raise PackageError(f"cannot write the package {folder}: {error.strerror or error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into a package's folder."""
    (folder / MANIFEST).write_bytes(json_bytes(manifest))


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raise PackageError if a package cannot be created there; the rules are those of `new_package`."""
    if not folder.exists():
        return
    if not folder.is_dir() or not _is_only_a_package(folder):
        raise PackageError(f"output {folder} exists and is not just a package: give another")
    if not overwrite:
        raise PackageError(f"output {folder} already exists: give another, or add --overwrite")


def _is_only_a_package(folder: Path) -> bool:
    """Return whether a folder is empty, or holds a manifest and nothing that does not belong to a package."""
    paths = list(folder.iterdir())
    return not paths or (all(map(_is_ours, paths)) and _is_manifest(folder / MANIFEST))


def _is_manifest(file: Path) -> bool:
    """Return whether a file is a package's manifest, of any version."""
    try:
        found = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(found, dict) and {"schema", "graphs"} <= found.keys()


def _is_ours(path: Path) -> bool:
    return path.is_file() and (
        path.name in (MANIFEST, QUANTISATION_CHART) or path.suffix == ".onnx" or path.match(OLDER_LATENTS)
    )


def put_in_place(filled: Path, folder: Path, replaced: Path) -> None:
    """Rename a folder to its final name; an existing one is moved aside, and back if the rename fails.

    Raises OSError.
    """
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
    if not folder.is_dir() and str(where) in (*bundled_packages(), PHOTO):
        folder = BUNDLED / str(where)
    if folder.is_file():
        raise PackageError(
            f"{folder} is a file; a package is a folder with {MANIFEST} (see python -m export)"
        )
    if not folder.is_dir():
        names = ", ".join(bundled_packages()) or "none"
        raise PackageError(
            f"no package {folder}: give a folder made by `python -m export`, or a bundled name ({names})"
        )
    return folder


def _check_name(folder: Path) -> None:
    """Raise PackageError unless the path is UTF-8, which the libraries that run networks expect."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise PackageError(f"package {one_line(folder)}: its path is not UTF-8, rename it") from None


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in a folder; the graphs are not looked at. Raises PackageError."""
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
        raise PackageError(
            f"package {folder}: {MANIFEST} is damaged or foreign ({error}): export the checkpoint again"
        ) from error


class _Schema(msgspec.Struct):
    schema: int


def _from_first_schema(content: dict[str, Any]) -> dict[str, Any]:
    """Convert a manifest of schema 1, which supported GPEN networks only, to the current schema."""
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
            f"package {folder}: {name} does not match its hash in {MANIFEST} (truncated or changed): "
            "export the checkpoint again"
        )
