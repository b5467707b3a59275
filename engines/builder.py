"""The engine for a graph of a package: from the cache, or built."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from base.errors import EngineError, PackageError
from engines import tensorrt_api
from engines.build_process import build_apart
from engines.cache import CachedEngine, EngineCache
from engines.construction import BuildRequest
from engines.gpu import Gpu, find_gpu
from engines.package import GraphName, Package
from engines.record import EngineKey, EngineRecord
from engines.targets import AMPERE_PLUS, check_targets, covers, of_gpu
from engines.tensorrt_api import RuntimeName, Severity, TensorRt

DEFAULT_MAX_BATCH = 8
MOST_BATCH = 64
_TURING = (7, 5)
_FULL = re.compile(r"out ?of ?memory", re.IGNORECASE)
_CUDA = re.compile(r"\bcuda (runtime|driver|error|failure|initialization)", re.IGNORECASE)
"""In TensorRT's first error: the GPU or its driver fails. Later ones may come of tidying up."""


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What engines are wanted."""

    runtime: RuntimeName | None = None
    """None is TensorRT where it is installed and finds a GPU, else TensorRT-RTX."""
    targets: tuple[str, ...] = ()
    """Compute capabilities, `sm_89` (TensorRT-RTX only); none is the GPU of this machine, or portable."""
    max_batch: int = DEFAULT_MAX_BATCH
    """Most faces at once that an engine is built for."""
    portable: bool = False
    """One engine for Ampere and all newer GPUs; what TensorRT-RTX makes anyway."""
    workspace_mib: int | None = None
    """Most scratch memory that a layer may use when built and run. Not part of an engine's identity."""
    device: int = 0
    exact: bool = False
    """Take no engine of another max batch, or of another target that covers this machine's GPU too."""
    rebuild: bool = False
    """Build even when the cache has the engine."""
    verbose: bool = False
    """Let TensorRT's own messages through to standard error."""


@dataclass(frozen=True)
class Watch:
    """Whom to tell how a build goes. All are called from the thread that builds."""

    started: Callable[[GraphName], None] = lambda graph: None
    phase: Callable[[str, float], None] = lambda phase, share: None
    """The present phase and the share of the build that is done, 0 … 1."""
    finished: Callable[[GraphName, CachedEngine, bool], None] = lambda graph, engine, built: None
    notice: Callable[[str], None] = lambda sentence: None


@dataclass(frozen=True)
class Settled:
    """The options, settled for this machine."""

    api: TensorRt
    target: str
    targets: tuple[str, ...]
    gpu: Gpu | None
    options: EngineOptions


@dataclass(frozen=True)
class Engine:
    """An engine for a graph, ready to be opened: `api.module` is the runtime that opens `cached.plan`."""

    api: TensorRt
    cached: CachedEngine


@dataclass(eq=False)
class OpenEngine:
    """An engine on the GPU."""

    api: TensorRt
    cached: CachedEngine
    engine: Any
    """ICudaEngine"""
    held: tuple[Any, ...] = field(repr=False)
    """TensorRT's runtime and logger, which must live as long as the engine."""
    said: list[str] = field(default_factory=list, repr=False)
    """The errors that TensorRT has logged, the latest last; to be emptied by whoever has told of them."""


def settle(options: EngineOptions) -> Settled:
    """Find the runtime and the target for the options.

    Raises EngineError when the runtime is not installed, has no GPU that it needs, or does not know a target.
    """
    if not 1 <= options.max_batch <= MOST_BATCH:
        raise EngineError(f"max batch {options.max_batch} is outside 1 … {MOST_BATCH}")
    if options.workspace_mib is not None and options.workspace_mib < 1:
        raise EngineError(f"workspace {options.workspace_mib} MiB is not a size: give 1 or more")
    if options.targets and options.portable:
        raise EngineError("--portable and --target contradict each other: give one of them")
    gpu = find_gpu(options.device)
    api = _runtime(options, gpu)
    if not api.tunes:
        targets = options.targets
        if not targets and not options.portable and gpu is not None and gpu.capability == _TURING:
            targets = (gpu.sm,)  # which the portable default leaves out
        check_targets(targets, api.known_targets)
        return Settled(api, ",".join(targets) or AMPERE_PLUS, targets, gpu, options)
    if options.targets:
        raise EngineError(
            "TensorRT builds for the GPU of this machine only: leave --target out, or add --runtime rtx"
        )
    if gpu is None:
        raise EngineError(
            "TensorRT builds engines on the GPU they are for, and this machine has none that works: build on "
            "that machine, or add --runtime rtx"
        )
    if options.portable and not covers(AMPERE_PLUS, gpu):
        raise EngineError(
            f"--portable needs an Ampere GPU or a newer one to build on; {gpu.name} is {gpu.sm}"
        )
    return Settled(api, AMPERE_PLUS if options.portable else of_gpu(gpu), (), gpu, options)


def _runtime(options: EngineOptions, gpu: Gpu | None) -> TensorRt:
    """Return the runtime asked for, else the one that is there: TensorRT first where it has its GPU."""
    if options.runtime is not None:
        return tensorrt_api.load(options.runtime)
    missing: list[str] = []
    names: tuple[RuntimeName, ...] = ("tensorrt", "rtx")
    for name in names if gpu is not None and not options.targets else names[1:]:
        try:
            return tensorrt_api.load(name)
        except EngineError as error:
            missing.append(str(error))
    raise EngineError("; ".join(missing))


def key_of(package: Package, graph: GraphName, settled: Settled) -> EngineKey:
    """Return what identifies the engine for a graph.

    Raises PackageError when the package lacks it, or is INT8 as only a CPU has it.
    """
    package.graph(graph)
    quantisation = package.manifest.quantisation
    if quantisation and quantisation.target == "cpu":
        raise PackageError(
            f"package {package.folder} is INT8 for CPUs: make one for TensorRT with "
            "`python -m calibration int8` without --for cpu"
        )
    return EngineKey(
        graph=graph,
        graph_sha256=package.manifest.graphs[graph].sha256,
        runtime=settled.api.runtime,
        version=settled.api.version,
        target=settled.target,
        precision=package.manifest.precision,
        max_batch=package.manifest.batch or settled.options.max_batch,
    )


def engine_for(
    package: Package,
    graph: GraphName,
    settled: Settled,
    *,
    cache: EngineCache | None = None,
    watch: Watch | None = None,
) -> Engine:
    """Return the engine for a graph, built when the cache does not have it.

    Unless the options say `exact`, or name a target, any engine that was made ahead of time and covers this
    machine's GPU will do, whatever its max batch.

    Raises EngineError when it cannot be built or kept, PackageError when the package lacks the graph.
    """
    cache, watch = cache or EngineCache(), watch or Watch()
    key, options = key_of(package, graph, settled), settled.options
    watch.started(graph)
    exact = options.exact or options.rebuild or options.portable or bool(options.targets)
    if settled.gpu is not None and not exact:
        made = cache.find_for(key, settled.gpu)
        if made is not None:
            watch.finished(graph, made, False)
            return Engine(settled.api, made)
    fresh: list[EngineRecord] = []

    def build(file: Path) -> EngineRecord:
        fresh.append(_build(package, key, settled, cache, file, watch))
        return fresh[-1]

    cached = cache.get(key, build, rebuild=options.rebuild, notice=watch.notice)
    watch.finished(graph, cached, bool(fresh))
    return Engine(settled.api, cached)


def open_engine(
    package: Package,
    graph: GraphName,
    settled: Settled,
    *,
    cache: EngineCache | None = None,
    watch: Watch | None = None,
) -> OpenEngine:
    """Return the engine for a graph, opened on the current GPU.

    One that the runtime refuses (made by another build of it, say) is built again, once; the old one stays
    until the new one is whole. Raises EngineError when there is no GPU, its memory is full, CUDA fails, or
    the runtime refuses the new one too.
    """
    cache = cache or EngineCache()
    if settled.gpu is None:
        raise EngineError(
            "engines run on NVIDIA GPUs, and this machine has none that works: use another backend"
        )
    said: list[str] = []

    def told(severity: Severity, message: str) -> None:
        if severity == "error":
            said.append(message)

    log = tensorrt_api.logger(settled.api, told)
    options = settled.options
    for _ in range(2):
        said.clear()
        attempt = replace(settled, options=options)
        found = engine_for(package, graph, attempt, cache=cache, watch=watch)
        runtime, engine = tensorrt_api.deserialize(found.api, found.cached.plan, log)
        if engine is not None:
            said.clear()
            return OpenEngine(found.api, found.cached, engine, (runtime, log), said)
        if any(_FULL.search(message) for message in said) or any(map(_CUDA.search, said[:1])):
            break  # the engine is not to blame
        options = replace(options, rebuild=True, max_batch=found.cached.record.key.max_batch)
    reason = " ".join(said[0].split()) if said else "no reason given"
    raise EngineError(f"{settled.api.name} does not open the engine for {graph}.onnx: {reason}")


def _build(
    package: Package, key: EngineKey, settled: Settled, cache: EngineCache, file: Path, watch: Watch
) -> EngineRecord:
    options, api = settled.options, settled.api
    timing = None
    if api.tunes and settled.gpu is not None:
        gpu = re.sub(r"[^a-z0-9_]+", "-", of_gpu(settled.gpu).lower())
        timing = str(cache.timing_file(f"{api.runtime}-{api.version}-{gpu}"))
    request = BuildRequest(
        runtime=api.runtime,
        graph=str(package.graph(key.graph)),
        output=str(file),
        max_batch=key.max_batch,
        targets=settled.targets,
        portable=options.portable,
        workspace_mib=options.workspace_mib,
        timing_cache=timing,
        device=options.device,
        verbose=options.verbose,
    )
    start = time.monotonic()
    try:
        built = build_apart(request, watch.phase)
    except EngineError as error:
        raise EngineError(f"{package.graph(key.graph).name} for {settled.target}: {error}") from error
    return EngineRecord(
        key=key,
        sha256="",
        size=0,
        package=package.manifest.name,
        built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - start, 1),
        activation_bytes=built.activation_bytes,
        weights_bytes=built.weights_bytes,
        layers=built.layers,
    )
