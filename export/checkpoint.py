"""Read checkpoints without executing their content."""

import codecs
import pickle
import re
import warnings
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from base.errors import CheckpointError
from export.architecture import AnyLayout, Architecture
from export.state_dict import find_state

_START = 512
"""Bytes from a file's beginning that identify it."""
_LONGEST_HEADER = 100_000_000
"""Bytes; the limit of safetensors' own reader."""
_POINTER = re.compile(r"version https?://(git-lfs\.github\.com|hawser\.github\.com|git-media\.io)/")
_PAGE = re.compile(r"(?i)(<!--|<\?xml|<!doctype|<html|<head|<body|<script|<meta|<title)")

_PACKED = {b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}
"""First bytes of archives. For ZIP, which is PyTorch's format, see `_no_tensors`."""


def load_tensors(
    path: Path, architecture: Architecture[AnyLayout, Any]
) -> tuple[AnyLayout, dict[str, Tensor]]:
    """Read the checkpoint of a network: return its layout, and its tensors as float32.

    The tensors have the layout's names. The file type is recognised by content. Pickles go through PyTorch's
    restricted unpickler, which builds tensors and plain containers, and refuses everything else before
    running any of it.

    Raises CheckpointError if the file cannot be read, holds more than data, or its tensors do not form the
    network (naming the first that does not fit).
    """
    return tensors_of(path, read_checkpoint(path), architecture)


def read_checkpoint(path: Path) -> Any:
    """Return the content of a weights file, read as by `load_tensors`."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"checkpoint {path} {what}: give a .pth or .safetensors file")
    try:
        return _read(path)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error


def tensors_of(
    path: Path, content: Any, architecture: Architecture[AnyLayout, Any]
) -> tuple[AnyLayout, dict[str, Tensor]]:
    """Return the layout and the tensors in a file's content, as `load_tensors` does."""
    try:
        state = find_state(content, architecture.names)
        if unused := architecture.unused:
            state = {name: tensor for name, tensor in state.items() if not unused.match(name)}
        layout = architecture.read_layout({name: tuple(tensor.shape) for name, tensor in state.items()})
        for name, tensor in state.items():
            if not torch.isfinite(tensor).all():
                raise CheckpointError(f"tensor {name!r} holds values that are not finite")
        return layout, state
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            start = file.read(_START)
        if _is_safetensors(start):
            return safetensors.torch.load_file(path)
        if reason := _no_weights(start) or _no_tensors(path):
            raise CheckpointError(reason)
        # Opened here: given as a path, the file would be judged by its suffix.
        with (
            path.open("rb") as file,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # about old pickles: the content is checked afterwards
            return torch.load(file, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "not a file of tensors alone, and nothing in it was executed: "
            "save its state dict with torch.save, or as .safetensors"
        ) from error
    except Exception as error:  # a damaged file makes the readers raise nearly anything
        raise CheckpointError(
            "damaged, incomplete or not a checkpoint: download it again "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0].partition('. ')[0]})"
        ) from error


def _is_safetensors(start: bytes) -> bool:
    """Return whether a file begins as safetensors: with an 8-byte length and a JSON object."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER


def _no_weights(start: bytes) -> str | None:
    """Return a description of a file that was downloaded instead of weights; None if it may be weights."""
    if not start:
        return "the file is empty: download it again"
    if kind := next((kind for magic, kind in _PACKED.items() if start.startswith(magic)), None):
        return f"a {kind} archive: unpack it, and give the weights that are in it"
    text = _as_text(start)
    if text is None:
        return None
    if _POINTER.match(text):
        return "a Git LFS pointer, not the weights: run `git lfs pull`, or download the file from its page"
    if _PAGE.match(text):
        return "a web page, not weights: open it in a browser to read it, and download the file itself"
    beginning = " ".join(text.split())[:60]
    return f"a text, not weights (it begins with {beginning!r}): download the file itself"


def _no_tensors(path: Path) -> str | None:
    """Return a description of a ZIP archive without PyTorch tensors; None if it has some, or is not a ZIP."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = [PurePosixPath(name) for name in archive.namelist()]
    if any(name.name == "constants.pkl" for name in names):
        return "a TorchScript program, not a file of tensors alone: save its state dict with torch.save"
    if not any(name.name == "data.pkl" for name in names):
        return f"a ZIP archive of other files ({names[0] if names else 'none'}): unpack it first"
    return None


def _as_text(start: bytes) -> str | None:
    """Return the beginning of a text file; None for other files."""
    utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = start.decode("utf-16" if utf16 else "utf-8-sig", errors="ignore")
    control = sum(not (char.isprintable() or char.isspace()) for char in text)
    lost = len(start) - len(text.encode("utf-16" if utf16 else "utf-8"))
    return text.strip() if not control and lost < 4 else None
