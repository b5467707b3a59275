"""Build one engine from one graph; runs in the build process (see build_process)."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from base.errors import EngineError
from base.text import joined_lines
from engines import tensorrt_api, turing
from engines.layers import EngineLayer, layers_of_json, layers_of_log
from engines.phases import Phases
from engines.tensorrt_api import RuntimeName, Severity, TensorRt

METHOD = 2
"""Raise this when the same graph and settings produce a different engine; older engines are then rebuilt."""
_MEMORY = re.compile(r"Total (Activation|Weights) Memory: (\d+) bytes")
_WORDY = 400


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What to build and where to write it."""

    runtime: RuntimeName
    graph: str
    """Path of the ONNX file."""
    output: str
    """Path to write the engine to."""
    max_batch: int
    targets: tuple[str, ...] = ()
    """Compute capabilities (TensorRT-RTX); empty means its portable default."""
    portable: bool = False
    workspace_mib: int | None = None
    timing_cache: str | None = None
    """Path of earlier timing measurements (TensorRT): read if it exists, then rewritten."""
    device: int = 0
    verbose: bool = False


@dataclass(frozen=True, kw_only=True)
class Built:
    """What is known about an engine once it is built."""

    layers: tuple[EngineLayer, ...] = ()
    activation_bytes: int | None = None
    """Device memory that a context needs at the largest batch."""
    weights_bytes: int | None = None


class _Messages:
    def __init__(self, print_line: Callable[[str], None] | None) -> None:
        self.errors: list[str] = []
        self.layers: tuple[EngineLayer, ...] = ()
        self.memory: dict[str, int] = {}
        self._print_line = print_line

    def __call__(self, severity: Severity, message: str) -> None:
        if severity == "error":
            self.errors.append(message)
        elif message.startswith("Layers:"):
            self.layers = layers_of_log(message)
        elif match := _MEMORY.match(message):
            self.memory[match[1]] = int(match[2])
        if self._print_line and severity != "verbose":
            self._print_line(f"{severity}: {message}")


def construct(
    request: BuildRequest,
    report: Callable[[str, float], None],
    print_line: Callable[[str], None] | None = None,
) -> Built:
    """Build an engine and write it to the request's output file.

    report      called with the current phase and the share of the build that is done, 0 … 1; from any thread
    print_line  receives TensorRT's own messages; None discards them

    Raises EngineError if TensorRT is not installed, or refuses the graph or the settings.
    """
    api = tensorrt_api.load(request.runtime)
    messages = _Messages(print_line)
    phases = Phases(report)
    log = tensorrt_api.logger(api, messages)
    monitor = tensorrt_api.progress_monitor(api, phases.start, phases.step, phases.finish)
    builder = tensorrt_api.create_builder(api, log)
    network = tensorrt_api.create_network(api, builder)
    parser = tensorrt_api.parse(api, network, log, request.graph)
    if turing.SM in request.targets:
        turing.replace_products(api, network)
    config = tensorrt_api.configure(
        api,
        builder,
        monitor=monitor,
        targets=request.targets,
        portable=request.portable,
        workspace_mib=request.workspace_mib,
    )
    tensorrt_api.add_profile(api, builder, network, config, request.max_batch)
    timing = Path(request.timing_cache) if request.timing_cache else None
    if timing is not None:
        tensorrt_api.use_timing_cache(api, config, timing.read_bytes() if timing.exists() else b"")
    plan = tensorrt_api.build(builder, network, config)
    del parser  # it held the weights until now
    if plan is None:
        raise EngineError(joined_lines(messages.errors[0] if messages.errors else "no reason given", _WORDY))
    with Path(request.output).open("wb") as file:
        file.write(memoryview(plan))
    measured = tensorrt_api.timing_cache(api, config) if timing else b""
    if timing is not None and measured:
        draft = timing.with_name(f"{timing.name}.draft")
        draft.write_bytes(measured)
        draft.replace(timing)
    layers = messages.layers
    if not layers and api.tunes:
        layers = _inspected(api, Path(request.output).read_bytes(), log)
    return Built(
        layers=layers,
        activation_bytes=messages.memory.get("Activation"),
        weights_bytes=messages.memory.get("Weights"),
    )


def _inspected(api: TensorRt, plan: bytes, log: object) -> tuple[EngineLayer, ...]:
    # The layers are only information; the engine works without them.
    with suppress(EngineError, RuntimeError):
        runtime, engine = tensorrt_api.deserialize(api, plan, log)
        if engine is not None:
            layers = layers_of_json(tensorrt_api.describe(api, engine))
            del engine, runtime
            return layers
    return ()
