"""Find a network's tensors in any checkpoint, and rename them to its layout's names."""

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from base.errors import CheckpointError

WRAPPERS = frozenset(
    {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
)
"""Parts of names that `DataParallel`, `AveragedModel`, `torch.compile`, FSDP, activation checkpointing and
Lightning Fabric insert where they wrap a module."""

_AVERAGED = re.compile(r"(?i)(?<![a-z])(ema|averaged)(?![a-z])")
"""Names of weights that were averaged over the training: `g_ema`, `params_ema`."""


@dataclass(frozen=True)
class Found:
    """A mapping that holds tensors of the network, or of one of its copies."""

    where: str
    """Keys that lead to it, and the prefix of its names: `state_dict`, `g_ema`, `net_g`."""
    content: dict[str, Any]
    """By name, without the prefix."""
    count: int
    """Number of names that are the network's."""


def find_state(content: Any, names: re.Pattern[str]) -> dict[str, Tensor]:
    """Return a network's tensors, float32, under the names of its layout.

    They are found under any keys and with any common prefix of their names; averaged weights are preferred.
    Wrappers' parts of names, noise buffers and numbers beside the tensors are dropped. Tensors that do not
    belong to the network are kept, so that the layout can name them.

    names  matches the complete name of a tensor of the network

    Raises CheckpointError if there is no state dict, several different ones, or one in which a value of the
    network is not a tensor of floats.
    """
    mappings = list(_mappings(content))
    if not mappings:
        raise CheckpointError("it holds no state dict")
    networks = [found for where, mapping in mappings for found in _networks(where, mapping, names)]
    if not networks:  # for another network, the layout names what is missing
        return _tensors(max((mapping for _, mapping in mappings), key=len), names)
    most = max(found.count for found in networks)
    whole = [found for found in networks if 2 * found.count > most]
    chosen = [found for found in whole if _AVERAGED.search(found.where)] or whole
    states = [_tensors(found.content, names) for found in chosen]
    if any(not _same(states[0], state) for state in states[1:]):
        raise CheckpointError(
            f"it holds several networks, under {' and '.join(repr(found.where) for found in chosen)}: "
            "save the state dict of one of them"
        )
    return states[0]


def known_names(content: Any, names: re.Pattern[str]) -> int:
    """Return how many tensors of a network the best matching mapping of a checkpoint holds."""
    return max(
        (found.count for where, mapping in _mappings(content) for found in _networks(where, mapping, names)),
        default=0,
    )


def _mappings(content: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each mapping that directly contains tensors, with the keys that lead to it."""
    waiting = deque([("", content)])
    seen: set[int] = set()  # a pickle may contain itself
    while waiting:
        where, value = waiting.popleft()
        items = dict(enumerate(value)) if isinstance(value, (list, tuple)) else value
        if id(value) in seen or not isinstance(items, Mapping):
            continue
        seen.add(id(value))
        waiting.extend((f"{where}.{key}".strip("."), inner) for key, inner in items.items())
        if any(isinstance(inner, Tensor) for inner in items.values()):
            yield where, _unwrapped({str(key): inner for key, inner in items.items()})


def _unwrapped(content: dict[str, Any]) -> dict[str, Any]:
    """Remove wrappers' parts from names, unless two names would become the same."""
    plain = {
        ".".join(part for part in name.split(".") if part not in WRAPPERS): value
        for name, value in content.items()
    }
    return plain if len(plain) == len(content) else content


def _networks(where: str, content: dict[str, Any], names: re.Pattern[str]) -> list[Found]:
    """Return the networks in a mapping: one for each common prefix of the network's names."""
    counts = Counter(start for name in content if (start := _start(name, names)) is not None)
    return [
        Found(
            f"{where}.{start}".strip("."),
            {name[len(start) :]: value for name, value in content.items() if name.startswith(start)},
            count,
        )
        for start, count in counts.items()
    ]


def _start(name: str, names: re.Pattern[str]) -> str | None:
    """Return the prefix of a network's name, empty or ending in a dot; None if the name is foreign."""
    starts = (0, *(match.end() for match in re.finditer(r"\.", name)))
    return next((name[:start] for start in starts if names.fullmatch(name, start)), None)


def _tensors(content: dict[str, Any], names: re.Pattern[str]) -> dict[str, Tensor]:
    """Return the tensors of a state dict without its other entries. Raises CheckpointError."""
    state = {}
    for name, value in content.items():
        if names.fullmatch(name):
            if not (isinstance(value, Tensor) and _is_plain(value)):
                raise CheckpointError(f"{name!r} is not a tensor of floats")
            state[name] = value.detach().float()
        elif isinstance(value, Tensor) and value.numel() > 1 and "noise" not in name:
            state[name] = value.detach()
    return state


def _is_plain(tensor: Tensor) -> bool:
    counts = tensor.dtype == torch.int64 and tensor.dim() == 0  # such as the batch counter of a batch norm
    floats = tensor.is_floating_point() or counts
    return floats and tensor.layout == torch.strided and tensor.device.type == "cpu"


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
