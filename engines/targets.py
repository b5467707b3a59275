"""The GPUs that an engine is built for.

ampere+                 any GPU of compute capability 8.0 or newer
sm_75,sm_89             GPUs of these compute capabilities (TensorRT-RTX)
Orin sm_87 16 SMs       exactly this GPU (TensorRT)
"""

import re
from collections.abc import Sequence

from base.errors import EngineError
from engines.gpu import Gpu

AMPERE_PLUS = "ampere+"
"""TensorRT's hardware compatibility level of that name, and TensorRT-RTX's default."""
_SM = re.compile(r"sm_([0-9]{2,3})")
_AMPERE = (8, 0)


def parse_targets(text: str) -> tuple[str, ...]:
    """Parse `sm_75,sm_89` into sorted compute capabilities. Raises EngineError for any other text."""
    names = {name.strip().lower() for name in text.split(",") if name.strip()}
    for name in names:
        if not _SM.fullmatch(name):
            raise EngineError(
                f"no target {name!r}: give compute capabilities, such as sm_75,sm_86,sm_89,sm_120"
            )
    if not names:
        raise EngineError("no target given: give compute capabilities, such as sm_86,sm_89")
    return tuple(sorted(names, key=_number))


def check_targets(targets: Sequence[str], known: Sequence[str]) -> None:
    """Raise EngineError if the runtime cannot build for one of the targets."""
    for target in targets:
        if target not in known:
            raise EngineError(
                f"TensorRT-RTX cannot build for {target}: it knows {', '.join(sorted(known, key=_number))}"
            )


def covers(target: str, gpu: Gpu) -> bool:
    """Return whether an engine for that target runs on that GPU."""
    if target == AMPERE_PLUS:
        return gpu.capability >= _AMPERE
    return gpu.sm in target.split(",") or target == of_gpu(gpu)


def of_gpu(gpu: Gpu) -> str:
    """Return the target that stands for exactly this GPU."""
    return f"{gpu.name} {gpu.sm} {gpu.processors} SMs"


def _number(name: str) -> int:
    match = _SM.fullmatch(name)
    return int(match[1]) if match else 0
