"""Find a network's tensors in whatever a checkpoint holds, under the names that its layout gives them."""

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from base.errors import CheckpointError

WRAPPERS = frozenset({"module", "_orig_mod"})
"""Parts of names that `DataParallel`, `AveragedModel` and `torch.compile` add wherever they wrap a module."""

_AVERAGED = re.compile(r"(?i)(?<![a-z])(ema|averaged)(?![a-z])")
"""What weights are called that were averaged over the training: `g_ema`, `params_ema`."""


@dataclass(frozen=True)
class Found:
    """A mapping that holds tensors of the network, or of one of its copies."""

    where: str
    """Keys that lead to it, and what its names begin with: `state_dict`, `g_ema`, `net_g`."""
    content: dict[str, Any]
    """By name, without what the names begin with."""
    count: int
    """Of names that are the network's."""


def find_state(content: Any, names: re.Pattern[str]) -> dict[str, Tensor]:
    """Return a network's tensors, float32, under the names of its layout.

    It is looked for under any keys, with any common beginning of its names, and averaged weights are
    preferred. Wrappers' parts of names, noise buffers and numbers beside the tensors are left out. A tensor
    that is none of the network's stays in, so that the layout can name it.

    names  matches the whole name of a tensor of the network

    Raises CheckpointError when there is no state dict, several that differ, or one with a value of the
    network's that is not a tensor of floats.
    """
    mappings = list(_mappings(content))
    if not mappings:
        raise CheckpointError("it holds no state dict")
    networks = [found for where, mapping in mappings for found in _networks(where, mapping, names)]
    if not networks:  # another network's: the layout says what it lacks
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
    """Return how many tensors of a network the likeliest mapping of a checkpoint holds."""
    return max(
        (found.count for where, mapping in _mappings(content) for found in _networks(where, mapping, names)),
        default=0,
    )


def _mappings(content: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each mapping that has tensors of its own, with the keys that lead to it."""
    waiting = deque([("", content)])
    seen: set[int] = set()  # a pickle may hold itself
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
    """Leave wrappers out of names, unless two would become the same."""
    plain = {
        ".".join(part for part in name.split(".") if part not in WRAPPERS): value
        for name, value in content.items()
    }
    return plain if len(plain) == len(content) else content


def _networks(where: str, content: dict[str, Any], names: re.Pattern[str]) -> list[Found]:
    """Return the networks of a mapping: one for each common beginning of names of the network."""
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
    """Return what comes before a network's name, ending in a dot, or nothing; None if it is not its."""
    starts = (0, *(match.end() for match in re.finditer(r"\.", name)))
    return next((name[:start] for start in starts if names.fullmatch(name, start)), None)


def _tensors(content: dict[str, Any], names: re.Pattern[str]) -> dict[str, Tensor]:
    """Return the tensors of a state dict without what is beside them. Raises CheckpointError."""
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
    counts = tensor.dtype == torch.int64 and tensor.dim() == 0  # as a batch norm counts its batches
    floats = tensor.is_floating_point() or counts
    return floats and tensor.layout == torch.strided and tensor.device.type == "cpu"


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
