"""The only module that handles differences between TensorRT 10.3 to 11 and TensorRT-RTX.

It never sets a precision: networks are strongly typed, so the graph's own types decide. TensorRT's Python API
is called directly. Polygraphy wraps the same calls, but selects its TensorRT by an environment variable for
the whole process, would be another package to install on a kiosk, and leaves the parser's errors in its log.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from base.errors import EngineError

if TYPE_CHECKING:
    import tensorrt as typed

RuntimeName = Literal["tensorrt", "rtx"]
_MODULE = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
_OLDEST = (10, 3)
_INSTALL = {
    "tensorrt": "TensorRT is not installed: pip install 'gpen-edge[tensorrt]' "
    "(on a Jetson it comes with JetPack: see docs/set-up.md)",
    "rtx": "TensorRT-RTX is not installed: pip install 'gpen-edge[tensorrt-rtx]'",
}
Severity = Literal["error", "warning", "info", "verbose"]


@dataclass(frozen=True)
class TensorRt:
    """An installed TensorRT or TensorRT-RTX."""

    runtime: RuntimeName
    module: Any
    """`tensorrt` or `tensorrt_rtx`; this project uses only classes and calls that are the same in both."""
    version: str

    @property
    def name(self) -> str:
        """Its official name."""
        return "TensorRT" if self.runtime == "tensorrt" else "TensorRT-RTX"

    @property
    def tunes(self) -> bool:
        """Whether building times kernels on the GPU: it then needs a GPU and gains from a timing cache."""
        return self.runtime == "tensorrt"

    @property
    def captures(self) -> bool:
        """Whether it captures its launches in CUDA graphs itself: TensorRT-RTX does, per shape."""
        return self.runtime == "rtx"

    @property
    def known_targets(self) -> tuple[str, ...]:
        """Compute capabilities that can be built for on any machine; empty for TensorRT."""
        if self.tunes:
            return ()
        members = self.module.ComputeCapability.__members__
        return tuple(f"sm_{name[2:]}" for name in members if name.startswith("SM"))


def load(runtime: RuntimeName) -> TensorRt:
    """Import a runtime. Raises EngineError if it is not installed, cannot be loaded or is too old."""
    try:
        module = importlib.import_module(_MODULE[runtime])
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == _MODULE[runtime]:
            raise EngineError(_INSTALL[runtime]) from error
        raise EngineError(f"{_MODULE[runtime]} is installed but cannot be loaded: {error}") from error
    except (OSError, RuntimeError) as error:
        raise EngineError(f"{_MODULE[runtime]} is installed but cannot be loaded: {error}") from error
    if not hasattr(module, "Builder"):  # a folder of that name, such as type stubs
        raise EngineError(_INSTALL[runtime])
    version = str(module.__version__)
    if runtime == "tensorrt" and tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise EngineError(f"TensorRT {version} is too old: 10.3 or newer is needed")
    return TensorRt(runtime, module, version)


def logger(api: TensorRt, report: Callable[[Severity, str], None]) -> Any:
    """Return a TensorRT logger that forwards every message; it must outlive whatever is created with it."""
    trt = api.module
    severities: dict[Any, Severity] = {
        trt.ILogger.INTERNAL_ERROR: "error",
        trt.ILogger.ERROR: "error",
        trt.ILogger.WARNING: "warning",
        trt.ILogger.INFO: "info",
    }

    base: Any = trt.ILogger

    class Log(base):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            report(severities.get(severity, "verbose"), message)

    return Log()


def progress_monitor(
    api: TensorRt,
    started: Callable[[str, str | None, int], None],
    stepped: Callable[[str, int], None],
    finished: Callable[[str], None],
) -> Any:
    """Return a progress monitor that forwards phases; it is called from any of the builder's threads."""
    trt = api.module

    base: Any = trt.IProgressMonitor

    class Monitor(base):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            started(phase, parent, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            stepped(phase, step)
            return True

        def phase_finish(self, phase: str) -> None:
            finished(phase)

    return Monitor()


def create_builder(api: TensorRt, log: Any) -> "typed.Builder":
    """Return a builder. Raises EngineError if TensorRT finds no usable GPU."""
    trt = api.module
    try:
        builder: typed.Builder = trt.Builder(log)
    except (TypeError, RuntimeError) as error:  # pybind's exception for a null pointer from TensorRT
        raise EngineError(
            "TensorRT cannot start: it needs a working NVIDIA GPU and driver; without one, use --runtime rtx"
        ) from error
    return builder


def create_network(api: TensorRt, builder: "typed.Builder") -> "typed.INetworkDefinition":
    """Return an empty, strongly typed network: by a flag in TensorRT 10, always in 11 and in RTX."""
    trt = api.module
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return builder.create_network(0 if flag is None else 1 << int(flag))


def parse(api: TensorRt, network: "typed.INetworkDefinition", log: Any, file: str) -> Any:
    """Parse an ONNX file into the network; return the parser, which owns the weights until the build ends.

    Raises EngineError that names the node and the reason.
    """
    trt = api.module
    parser: typed.OnnxParser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(file):
        raise EngineError(_reason(parser))
    return parser


def _reason(parser: "typed.OnnxParser") -> str:
    if not parser.num_errors:
        return "it is not a readable ONNX file"
    # Later errors follow from the first one.
    error: typed.ParserError = parser.get_error(0)
    node = " ".join(part for part in (error.node_operator(), error.node_name()) if part)
    return f"node {node}: {error.desc()}" if node else error.desc()


def configure(
    api: TensorRt,
    builder: "typed.Builder",
    *,
    monitor: Any,
    targets: Sequence[str] = (),
    portable: bool = False,
    workspace_mib: int | None = None,
) -> "typed.IBuilderConfig":
    """Return the build configuration of a network. Raises EngineError if a target is refused."""
    trt = api.module
    config: typed.IBuilderConfig = builder.create_builder_config()
    config.progress_monitor = monitor
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that engines can be inspected
    config.clear_flag(trt.BuilderFlag.TF32)  # disables TF32: FP32 in the graph means FP32
    resize = getattr(trt.PreviewFeature, "RUNTIME_ACTIVATION_RESIZE_10_10", None)
    if resize is not None:  # TensorRT 10.10 and newer: small batches need less scratch memory
        config.set_preview_feature(resize, True)
    if workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib << 20)
    if portable and api.tunes:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if targets:
        _set_targets(api, config, targets)
    return config


def _set_targets(api: TensorRt, config: Any, targets: Sequence[str]) -> None:
    # `config: Any` because only TensorRT-RTX has these calls.
    capability = api.module.ComputeCapability.__members__
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        if not config.set_compute_capability(capability[target.replace("sm_", "SM")], index):
            raise EngineError(f"TensorRT-RTX {api.version} refuses the target {target}")


def add_profile(
    api: TensorRt,
    builder: "typed.Builder",
    network: "typed.INetworkDefinition",
    config: "typed.IBuilderConfig",
    max_batch: int,
) -> None:
    """Allow batches from 1 to `max_batch`; tuned for 1, because most photos have one face."""
    trt = api.module
    profile: typed.IOptimizationProfile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        port: typed.ITensor = network.get_input(index)
        shape: Any = port.shape
        one, most = (
            trt.Dims([batch if length < 0 else length for length in shape]) for batch in (1, max_batch)
        )
        profile.set_shape(port.name, one, one, most)
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f"TensorRT refuses batch sizes 1 to {max_batch}")


def use_timing_cache(api: TensorRt, config: "typed.IBuilderConfig", content: bytes) -> None:
    """Pass earlier timing measurements to the builder; TensorRT-RTX times nothing, so nothing is passed."""
    if api.tunes:
        # TensorRT refuses a cache that is damaged or comes from another version or GPU.
        for known in (content, b""):
            cache: typed.ITimingCache | None = config.create_timing_cache(known)
            if cache is not None and config.set_timing_cache(cache, False):
                return


def timing_cache(api: TensorRt, config: "typed.IBuilderConfig") -> bytes:
    """Return the timing measurements so far, possibly empty."""
    cache: typed.ITimingCache | None = config.get_timing_cache() if api.tunes else None
    # A buffer, although the type stubs say otherwise; None if it fails.
    content: Any = None if cache is None else cache.serialize()
    return b"" if content is None else bytes(content)


def build(
    builder: "typed.Builder", network: "typed.INetworkDefinition", config: "typed.IBuilderConfig"
) -> Any:
    """Build the engine; return it as a buffer, or None if TensorRT failed and logged why."""
    return builder.build_serialized_network(network, config)


def deserialize(api: TensorRt, plan: bytes, log: Any) -> tuple[Any, Any]:
    """Open an engine on the current GPU; return its runtime, which must outlive it, and the engine or None.

    Raises EngineError if TensorRT cannot be started.
    """
    trt = api.module
    try:
        runtime: typed.Runtime = trt.Runtime(log)
    except (TypeError, RuntimeError) as error:  # TypeError: the bindings' exception for a null pointer
        raise EngineError(
            f"{api.name} {api.version} cannot start: check whether the driver is too old for it"
        ) from error
    return runtime, runtime.deserialize_cuda_engine(plan)


def describe(api: TensorRt, engine: "typed.ICudaEngine") -> str:
    """Return the engine inspector's description of all layers, in JSON."""
    trt = api.module
    inspector: typed.EngineInspector = engine.create_engine_inspector()
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def run_settings(api: TensorRt, engine: Any, kernels: bytes) -> Any:
    """Return the runtime configuration for contexts of an engine; None with TensorRT, which needs none.

    TensorRT-RTX compiles its kernels on the GPU. It is set to do so eagerly, not in the background, so that
    repeated passes never differ. It manages CUDA graphs itself.

    kernels  an earlier result of `compiled_kernels`; RTX checks it and ignores foreign ones
    """
    if not api.captures:
        return None
    # `engine: Any` because only TensorRT-RTX has these calls.
    trt = api.module
    settings = engine.create_runtime_config()
    settings.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    settings.dynamic_shapes_kernel_specialization_strategy = (
        trt.DynamicShapesKernelSpecializationStrategy.EAGER
    )
    settings.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    cache = settings.create_runtime_cache()
    if kernels:
        cache.deserialize(kernels)
    settings.set_runtime_cache(cache)
    return settings


def compiled_kernels(settings: Any) -> bytes:
    """Return the kernels that TensorRT-RTX has compiled so far; empty with TensorRT, or on failure."""
    content = None if settings is None else settings.get_runtime_cache().serialize()
    return b"" if content is None else bytes(content)


def create_context(api: TensorRt, engine: Any, settings: Any) -> Any:
    """Return an execution context without scratch memory of its own, or None on failure."""
    if settings is not None:
        return engine.create_execution_context(settings)
    trt = api.module
    declared: typed.ICudaEngine = engine
    return declared.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)


def set_shapes(context: "typed.IExecutionContext", shapes: Mapping[str, Sequence[int]]) -> int:
    """Set the input shapes of a context; return the bytes of scratch memory that it needs for them.

    Raises EngineError if the engine was not built for these shapes.
    """
    for name, shape in shapes.items():
        if not context.set_input_shape(name, tuple(shape)):
            raise EngineError(f"the engine does not take {name} of shape {'×'.join(map(str, shape))}")
    return int(context.update_device_memory_size_for_shapes())


def set_addresses(
    context: "typed.IExecutionContext", addresses: Mapping[str, int], scratch: int, size: int
) -> None:
    """Set the GPU addresses of a context's inputs, outputs and scratch memory, 256-byte aligned."""
    for name, address in addresses.items():
        if not context.set_tensor_address(name, address):
            raise EngineError(f"the engine has no input or output {name}")
    if hasattr(context, "set_device_memory"):
        context.set_device_memory(scratch, size)
    else:  # early TensorRT 10 takes only the address
        early: Any = context
        early.device_memory = scratch


def enqueue(context: "typed.IExecutionContext", stream: int) -> None:
    """Enqueue a run of the network on a CUDA stream. Raises EngineError if TensorRT refuses."""
    if not context.execute_async_v3(stream):
        raise EngineError("TensorRT did not start the network")
