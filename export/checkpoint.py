"""Reading checkpoints without executing what they hold."""

import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor

from engines.errors import CheckpointError
from engines.package import sha256
from export.layout import Layout, read_layout
from export.shapes import Shape

AnyLayout = TypeVar("AnyLayout")

KEYS = ("g_ema", "params_ema")
"""Where training code puts the averaged weights; a bare state dict is taken as it is."""


@dataclass(frozen=True)
class Checkpoint:
    """A published network's tensors, float32, and what they say of it."""

    layout: Layout
    state: dict[str, Tensor]
    sha256: str


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a GPEN network's `.pth` or `.safetensors` file, as `load_tensors` does."""
    layout, state = load_tensors(path, read_layout)
    return Checkpoint(layout, state, sha256(path))


def load_tensors(
    path: Path, read_layout: Callable[[Mapping[str, Shape]], AnyLayout]
) -> tuple[AnyLayout, dict[str, Tensor]]:
    """Read a `.pth` or `.safetensors` file: return the layout of its tensors, and them as float32.

    Pickles go through PyTorch's restricted unpickler: it builds tensors and plain containers, and refuses
    everything else before running any of it.

    read_layout  reads a layout off the shapes, or raises CheckpointError

    Raises CheckpointError when the file cannot be read, holds more than data, or its tensors do not form the
    network (naming the first that does not fit).
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"checkpoint {path} {what}: give a .pth or .safetensors file")
    try:
        state = _state(_read(path))
        layout = read_layout({name: tuple(tensor.shape) for name, tensor in state.items()})
        for name, tensor in state.items():
            if not torch.isfinite(tensor).all():
                raise CheckpointError(f"tensor {name!r} holds values that are not finite")
        return layout, state
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickles: what was read is checked afterwards
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "not a file of tensors alone, and nothing in it was executed: "
            "save its state dict with torch.save, or as .safetensors"
        ) from error
    except Exception as error:  # a damaged file makes the readers raise nearly anything
        raise CheckpointError(f"damaged, or not a checkpoint ({type(error).__name__}: {error})") from error


def _state(content: Any) -> dict[str, Tensor]:
    """Find the state dict in what a file holds."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in KEYS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"it holds no state dict, neither bare nor under {' or '.join(KEYS)}")
    for name, tensor in content.items():
        if not (isinstance(tensor, Tensor) and _is_plain(tensor)):
            raise CheckpointError(
                f"{name!r} is not a tensor of floats: a bare state dict, or one under "
                f"{' or '.join(KEYS)}, is expected"
            )
    return {str(name): tensor.float() for name, tensor in content.items()}


def _is_plain(tensor: Tensor) -> bool:
    counts = tensor.dtype == torch.int64 and tensor.dim() == 0  # as a batch norm counts its batches
    floats = tensor.is_floating_point() or counts
    return floats and tensor.layout == torch.strided and tensor.device.type == "cpu"
