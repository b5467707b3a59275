"""Find the engine for a graph in the cache, or build it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from base.errors import EngineError, PackageError
from base.setting import Range, option
from engines import tensorrt_api
from engines.build_process import build_apart
from engines.cache import CachedEngine, EngineCache
from engines.construction import BuildRequest
from engines.gpu import Gpu, find_gpu
from engines.package import PHOTO, GraphName, Package
from engines.record import EngineKey, EngineRecord
from engines.targets import AMPERE_PLUS, check_targets, covers, of_gpu, parse_targets
from engines.tensorrt_api import RuntimeName, Severity, TensorRt

DEFAULT_MAX_BATCH = 8
MOST_BATCH = 64
_TURING = (7, 5)
_FULL = re.compile(r"out ?of ?memory", re.IGNORECASE)
_CUDA = re.compile(r"\bcuda (runtime|driver|error|failure|initialization)", re.IGNORECASE)
"""Matched against TensorRT's first error: the GPU or its driver failed. Later errors may only be a
consequence.
"""


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Which engines to build, and how."""

    runtime: RuntimeName | None = option(
        None,
        "Runtime of the engines. (default: tensorrt if it is installed and finds a GPU, otherwise rtx)",
        metavar="tensorrt|rtx",
    )
    targets: tuple[str, ...] = option(
        (),
        "Compute capabilities to build for (TensorRT-RTX only); no GPU is needed.",
        "--target",
        parse=parse_targets,
        metavar="sm_75,sm_89,…",
    )
    max_batch: int = option(
        DEFAULT_MAX_BATCH, "Largest number of faces per batch.", range=Range(1, MOST_BATCH), metavar="N"
    )
    portable: bool = option(False, "Build one engine for Ampere and all newer GPUs; it is slightly slower.")
    workspace_mib: int | None = option(
        None, "Upper limit on the scratch memory of a layer.", "--workspace", range=Range(1), metavar="MiB"
    )
    """Not part of an engine's identity."""
    device: int = option(0, "Index of the GPU. (default: 0)", range=Range(0), metavar="N")
    exact: bool = False
    """Accept no cached engine of another max batch, or of another target that also covers this GPU."""
    rebuild: bool = option(False, "Rebuild engines that are already in the cache.")
    verbose: bool = option(False, "Show TensorRT's own messages.", "-v", "--verbose")


@dataclass(frozen=True)
class Watch:
    """Callbacks that follow a build. All are called from the thread that builds."""

    started: Callable[[GraphName], None] = lambda graph: None
    phase: Callable[[str, float], None] = lambda phase, share: None
    """Called with the current phase and the share of the build that is done, 0 … 1."""
    finished: Callable[[GraphName, CachedEngine, bool], None] = lambda graph, engine, built: None
    notice: Callable[[str], None] = lambda sentence: None


@dataclass(frozen=True)
class ResolvedOptions:
    """The options with runtime, target and GPU resolved for this machine."""

    api: TensorRt
    target: str
    targets: tuple[str, ...]
    gpu: Gpu | None
    options: EngineOptions


@dataclass(frozen=True)
class Engine:
    """An engine for a graph, not opened yet: `api.module` is the runtime that opens `cached.plan`."""

    api: TensorRt
    cached: CachedEngine


@dataclass(eq=False)
class OpenEngine:
    """An engine loaded onto the GPU."""

    api: TensorRt
    cached: CachedEngine
    engine: Any
    """ICudaEngine"""
    held: tuple[Any, ...] = field(repr=False)
    """TensorRT's runtime and logger, which must live as long as the engine."""
    errors: list[str] = field(default_factory=list, repr=False)
    """Errors that TensorRT has logged, latest last; whoever reports them clears the list."""


def resolve(options: EngineOptions) -> ResolvedOptions:
    """Find the runtime and the target for the options.

    Raises EngineError if the runtime is not installed, lacks the GPU it needs, or does not support a target.
    """
    if options.targets and options.portable:
        raise EngineError("--portable and --target contradict each other: give only one of them")
    gpu = find_gpu(options.device)
    api = _runtime(options, gpu)
    if not api.tunes:
        targets = options.targets
        if not targets and not options.portable and gpu is not None and gpu.capability == _TURING:
            targets = (gpu.sm,)  # the portable default does not cover Turing
        check_targets(targets, api.known_targets)
        return ResolvedOptions(api, ",".join(targets) or AMPERE_PLUS, targets, gpu, options)
    if options.targets:
        raise EngineError(
            "TensorRT builds only for this machine's GPU: leave --target out, or add --runtime rtx"
        )
    if gpu is None:
        raise EngineError(
            "TensorRT needs the GPU that the engine is for, and this machine has no working one: build on "
            "that machine, or add --runtime rtx"
        )
    if options.portable and not covers(AMPERE_PLUS, gpu):
        raise EngineError(
            f"--portable needs an Ampere GPU or a newer one to build on; {gpu.name} is {gpu.sm}"
        )
    return ResolvedOptions(api, AMPERE_PLUS if options.portable else of_gpu(gpu), (), gpu, options)


def _runtime(options: EngineOptions, gpu: Gpu | None) -> TensorRt:
    """Return the requested runtime, otherwise the installed one: TensorRT first if it has a GPU."""
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


def key_of(package: Package, graph: GraphName, resolved: ResolvedOptions) -> EngineKey:
    """Return the key that identifies the engine for a graph.

    Raises PackageError if the package lacks the graph or was quantised for CPUs.
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
        runtime=resolved.api.runtime,
        version=resolved.api.version,
        target=resolved.target,
        precision=package.manifest.precision,
        max_batch=_most_batch(package, resolved.options),
    )


def _most_batch(package: Package, options: EngineOptions) -> int:
    """Return the largest batch to build for: tiles of a photo, which are large, go through one by one."""
    return package.manifest.batch or (1 if package.manifest.kind == PHOTO else options.max_batch)


def engine_for(
    package: Package,
    graph: GraphName,
    resolved: ResolvedOptions,
    *,
    cache: EngineCache | None = None,
    watch: Watch | None = None,
) -> Engine:
    """Return the engine for a graph, built if the cache does not have it.

    Unless the options set `exact` or name a target, any cached engine that covers this machine's GPU will do,
    whatever its max batch.

    Raises EngineError if it cannot be built or stored, PackageError if the package lacks the graph.
    """
    cache, watch = cache or EngineCache(), watch or Watch()
    key, options = key_of(package, graph, resolved), resolved.options
    watch.started(graph)
    exact = options.exact or options.rebuild or options.portable or bool(options.targets)
    if resolved.gpu is not None and not exact:
        made = cache.find_for(key, resolved.gpu)
        if made is not None:
            watch.finished(graph, made, False)
            return Engine(resolved.api, made)
    fresh: list[EngineRecord] = []

    def build(file: Path) -> EngineRecord:
        fresh.append(_build(package, key, resolved, cache, file, watch))
        return fresh[-1]

    cached = cache.get(key, build, rebuild=options.rebuild, notice=watch.notice)
    watch.finished(graph, cached, bool(fresh))
    return Engine(resolved.api, cached)


def open_engine(
    package: Package,
    graph: GraphName,
    resolved: ResolvedOptions,
    *,
    watch: Watch | None = None,
) -> OpenEngine:
    """Return the engine for a graph, opened on the current GPU.

    If the runtime refuses an engine (for example one made by another build of TensorRT), it is rebuilt once;
    the old file stays until the new one is complete. Raises EngineError if there is no GPU, its memory is
    full, CUDA fails, or the runtime refuses the new engine too.
    """
    cache = EngineCache()
    if resolved.gpu is None:
        raise EngineError(
            "engines need an NVIDIA GPU, and this machine has no working one: use another backend"
        )
    errors: list[str] = []

    def collect(severity: Severity, message: str) -> None:
        if severity == "error":
            errors.append(message)

    log = tensorrt_api.logger(resolved.api, collect)
    options = resolved.options
    for _ in range(2):
        errors.clear()
        attempt = replace(resolved, options=options)
        found = engine_for(package, graph, attempt, cache=cache, watch=watch)
        runtime, engine = tensorrt_api.deserialize(found.api, found.cached.plan, log)
        if engine is not None:
            errors.clear()
            return OpenEngine(found.api, found.cached, engine, (runtime, log), errors)
        if any(_FULL.search(message) for message in errors) or any(map(_CUDA.search, errors[:1])):
            break  # the engine is not to blame
        options = replace(options, rebuild=True, max_batch=found.cached.record.key.max_batch)
    reason = " ".join(errors[0].split()) if errors else "no reason given"
    raise EngineError(f"{resolved.api.name} cannot open the engine for {graph}.onnx: {reason}")


def _build(
    package: Package, key: EngineKey, resolved: ResolvedOptions, cache: EngineCache, file: Path, watch: Watch
) -> EngineRecord:
    options, api = resolved.options, resolved.api
    timing = None
    if api.tunes and resolved.gpu is not None:
        gpu = re.sub(r"[^a-z0-9_]+", "-", of_gpu(resolved.gpu).lower())
        timing = str(cache.timing_file(f"{api.runtime}-{api.version}-{gpu}"))
    request = BuildRequest(
        runtime=api.runtime,
        graph=str(package.graph(key.graph)),
        output=str(file),
        max_batch=key.max_batch,
        targets=resolved.targets,
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
        raise EngineError(f"{package.graph(key.graph).name} for {resolved.target}: {error}") from error
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
