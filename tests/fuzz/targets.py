"""What is fuzzed: each target takes any bytes, and raises only where a promise of SECURITY.md is broken."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from base.errors import GpenEdgeError, PackageError, PhotoError, SettingsError
from engines.package import MANIFEST, REQUIRED, open_package
from runtime.commands.options import checked_run_options, parser
from runtime.photo.reader import read_photo
from runtime.photo.writer import write_photo
from runtime.settings.config_file import read_config
from runtime.settings.resolved import lines, resolve_settings

MEGAPIXELS = 0.5
"""What the photo reader is allowed, so that a run is quick."""

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-")
_HERE = Path(_FOLDER.name)
_PARSER = parser()

for _name in REQUIRED:  # what a manifest may truly name: each file holds its graph's name
    (_HERE / f"{_name}.onnx").write_text(_name)


def photo(data: bytes) -> None:
    """Read a photo, and write what was read in every format that keeps it."""
    path = _file("photo", data)
    with _one_line(PhotoError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = read_photo(path, max_megapixels=MEGAPIXELS)
        if read.pixels.size > MEGAPIXELS * 3e6:
            raise AssertionError(f"{read.pixels.shape} is more than was allowed")
        try:
            for suffix in (".jpg", ".png", ".tif") if max(read.pixels.shape) < 10_000 else (".png",):
                write_photo(_HERE / f"written{suffix}", read, overwrite=True)
        except PhotoError as error:
            raise AssertionError("what was read cannot be written") from error


def manifest(data: bytes) -> None:
    """Open a package with this manifest."""
    _file(MANIFEST, data)
    with _one_line(PackageError):
        open_package(_HERE)


def config(data: bytes) -> None:
    """Read a config file, as TOML and as JSON, and say what it comes to."""
    for suffix in (".toml", ".json"):
        path = _file(f"config{suffix}", data)
        with _one_line(SettingsError):
            said = lines(resolve_settings(read_config(path)))
            if not all(line.isprintable() for line in said):
                raise AssertionError(f"not on one line: {said}")


def settings(data: bytes) -> None:
    """Take the command line's words, a line each, and say what they come to."""
    words = data.decode("utf-8", "surrogateescape").split("\n")
    said = io.StringIO()
    with _one_line(GpenEdgeError), contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            lines(checked_run_options(_PARSER.parse_args(["photo.jpg", "-o", "out", *words])).resolved)
        except SystemExit as ended:
            if ended.code not in (0, 2):  # --help; what argparse refuses
                raise AssertionError(f"ended with {ended.code}") from ended


TARGETS: dict[str, Callable[[bytes], None]] = {
    "photo": photo,
    "manifest": manifest,
    "config": config,
    "settings": settings,
}


def _file(name: str, data: bytes) -> Path:
    path = _HERE / name
    path.write_bytes(data)
    return path


@contextlib.contextmanager
def _one_line(kind: type[GpenEdgeError]) -> Iterator[None]:
    """Let an error of this kind pass whose message is a line that can be shown."""
    try:
        yield
    except kind as error:
        if not " ".join(str(error).split()).isprintable():
            raise AssertionError(f"not printable: {error!r}") from error
