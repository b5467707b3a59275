"""TensorRT or TensorRT-RTX on a GPU; a batch stays on the GPU between its upload and its download."""

import re
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError, EngineError
from base.text import cause_of, joined_lines
from engines import tensorrt_api
from engines.builder import (
    MOST_BATCH,
    EngineOptions,
    OpenEngine,
    ResolvedOptions,
    Watch,
    open_engine,
    resolve,
)
from engines.cache import EngineCache
from engines.engine_files import write_whole
from engines.gpu import find_gpu
from engines.package import REQUIRED, GraphName, Package
from engines.tensorrt_api import RuntimeName
from runtime.network.backends import Batch, BatchLostError, Move
from runtime.network.backends.batch_memory import CROP, BatchMemory, Tensors, same
from runtime.network.backends.cuda_device import CudaDevice
from runtime.network.backends.cuda_driver import DriverError

_RUNTIME: dict[str, RuntimeName] = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}
_MOVES = 5  # as many as the default settings need; covers the whole range of a user's settings
_FULL = re.compile(r"out ?of ?memory", re.IGNORECASE)


@dataclass(eq=False)
class State:
    """A batch between half passes; its tensors are in the backend's memory until it is released."""

    batch: int
    moves: int
    moved: bool = False
    """Whether the estimate has moved since it was encoded."""


@dataclass(eq=False)
class Launch:
    """A network prepared for batches of one size."""

    context: Any
    """An IExecutionContext of its own, because a captured graph keeps using it."""
    run: bool = False
    """Whether it has run once: TensorRT may do work in the first run that must not be captured."""
    captured: int | None = None
    """The captured CUDA graph, once there is one."""


class TensorRtBackend:
    """The graphs of a package as engines on one GPU.

    Thread-safe: one batch at a time holds the backend, from `encode` to `release`; other threads wait.
    """

    def __init__(
        self,
        package: Package,
        *,
        name: Literal["tensorrt", "tensorrt-rtx"],
        index: int = 0,
        cache: EngineCache | None = None,
        watch: Watch | None = None,
    ) -> None:
        """Open a package's engines, building those that the cache lacks.

        Raises BackendError or EngineError if the runtime, the GPU or the driver is missing or fails.
        """
        self.name: str = name
        self.device = f"cuda:{index}"
        self.captures = True
        """Whether CUDA graphs are captured; False once the driver has refused."""
        self.renews = package.manifest.loop_kind == "renewed"
        if self.renews and package.manifest.moves_latent:
            raise BackendError(
                f"package {package.folder} is marked as renewed, but was exported for another loop: "
                "export its checkpoint with --loop renewed, or add --backend onnxruntime"
            )
        self._package, self._index, self._cache, self._watch = package, index, cache, watch
        gpu = find_gpu(index)
        if gpu is None:
            raise BackendError(
                f"{name} needs an NVIDIA GPU with a working driver, and there is no {self.device}: "
                "add --backend onnxruntime"
            )
        self._resolved: ResolvedOptions = resolve(EngineOptions(runtime=_RUNTIME[name], device=index))
        self.max_batch = MOST_BATCH  # until the engines set their own limit
        self.why = f"{self._resolved.api.name} {self._resolved.api.version}, {gpu.name}"
        self._tensors = Tensors.of(package.manifest.graphs, REQUIRED)
        self._turn = threading.RLock()
        self._state: State | None = None
        self._gpu: CudaDevice | None = None
        self._memory: BatchMemory | None = None
        self._launches: dict[tuple[GraphName, int], Launch] = {}
        self._engines: dict[GraphName, OpenEngine] = {}
        self._settings: dict[GraphName, Any] = {}
        self._lost = self._closed = self._compiled = False
        self._open()

    def encode(self, crops: Batch, moves: Sequence[Move] = ()) -> State:
        """Upload B×3×S×S crops in [−1, 1] and the moves of their steps, and encode them."""
        self._turn.acquire()
        if self._state is not None:  # this thread's previous state, never released: it is finished
            self._turn.release()
        self._state = state = State(len(crops), len(moves))
        try:
            with self._at_work(state) as gpu:
                memory = self._memory_for(state)
                contents = {"crop": crops}
                for i, move in enumerate(moves):
                    contents[f"picture_gain {i}"] = move.picture_gain
                    if not self.renews:
                        contents[f"latent_gain {i}"] = np.full((state.batch, 1), move.latent_gain, np.float32)
                memory.upload(state.batch, contents, state.moves)
                self._launch("encoder", state)
                self._launch("mapping", state)
                gpu.wait()
        except BaseException:
            self.release(state)
            raise
        return state

    def generate(self, state: State) -> None:
        """Compute r from the state's latent and features."""
        with self._at_work(state) as gpu:
            if self.renews and state.moved:
                self._launch("encoder", state, captured=True)
                self._launch("mapping", state, captured=True)
                state.moved = False
            self._launch("generator", state, captured=True)
            gpu.wait()  # so that the loop's timing includes it

    def step(self, state: State, move: int) -> NDArray[np.float32]:
        """Move the estimate and, unless it is re-encoded, the latent; return the relative change, B."""
        with self._at_work(state) as gpu:
            state.moved = True
            memory = self._memory_for(state)
            memory.take_move(state.batch, move, state.moves)
            self._launch("step", state, captured=True, then=lambda: memory.keep_moved(state.batch))
            memory.download("change", state.batch)
            gpu.wait()
            return memory.downloaded("change", state.batch)[:, 0]

    def restored(self, state: State) -> Batch:
        """Return the restored crops, B×3×S×S, in or slightly outside [−1, 1]."""
        return self._picture("restored", state)

    def estimate(self, state: State) -> Batch:
        """Return the current estimate, B×3×S×S, in or slightly outside [−1, 1]."""
        return self._picture(CROP, state)

    def release(self, state: State) -> None:
        """Free the memory for the next batch."""
        with self._turn:
            if state is self._state:
                self._state = None
                self._turn.release()  # acquired in `encode`
                self._keep_kernels()

    def close(self) -> None:
        """Free all GPU memory and the GPU; the backend cannot be used afterwards."""
        with self._turn:
            if self._state is not None:
                self.release(self._state)
            self._closed = True
            self._shut()

    def _picture(self, name: str, state: State) -> Batch:
        with self._at_work(state) as gpu:
            memory = self._memory_for(state)
            memory.download(name, state.batch)
            gpu.wait()
            self._lost = False  # a batch succeeded
            return memory.downloaded(name, state.batch)

    @contextmanager
    def _at_work(self, state: State) -> Iterator[CudaDevice]:
        """Hold the GPU for a state; on failure, recover if possible and raise an error that says so."""
        with self._turn:
            if self._closed:
                raise BackendError("the backend is closed: open it again")
            if state is not self._state:
                raise BackendError("another batch has been encoded since: release a state before the next")
            if self._gpu is None:
                self._open()
            gpu = self._gpu
            assert gpu is not None
            try:
                with gpu.current():
                    yield gpu
            except gpu.errors as error:
                _forget_frames(error)
                raise self._recovered(gpu, error, state.batch) from error
            except BaseException as error:  # interrupted: the state of the GPU is unknown
                _forget_frames(error)
                self._drop_memory()
                raise

    def _open(self) -> None:
        """Open the GPU, and the engines on it."""
        gpu = self._gpu = CudaDevice(self._index)
        try:
            with gpu.current():
                for graph in REQUIRED:
                    self._open_engine(graph)
        except BaseException as error:
            _forget_frames(error)
            self._shut()
            raise

    def _open_engine(self, graph: GraphName) -> None:
        opened = open_engine(self._package, graph, self._resolved, cache=self._cache, watch=self._watch)
        kernels = b""
        with suppress(OSError):
            kernels = opened.cached.kernels.read_bytes()
        opened.cached = replace(opened.cached, plan=b"")  # it has been uploaded to the GPU
        self._engines[graph] = opened
        self.max_batch = min(self.max_batch, opened.cached.record.key.max_batch)
        self._settings[graph] = tensorrt_api.run_settings(opened.api, opened.engine, kernels)

    def _shut(self, *, lost: bool = False) -> None:
        self._drop_memory()
        gpu, self._gpu = self._gpu, None
        if gpu is not None:
            with suppress(*gpu.errors), gpu.current():
                self._settings.clear()
                self._engines.clear()
            self._settings, self._engines = (
                {},
                {},
            )  # if it could not be made current: they must go before it is closed
            gpu.close(lost=lost)

    def _drop_memory(self) -> None:
        """Free the memory of batches; on a GPU that no longer responds, as much as possible."""
        gpu, memory, launches = self._gpu, self._memory, self._launches
        self._memory, self._launches = None, {}
        if gpu is None:
            return
        with suppress(*gpu.errors), gpu.current():
            with suppress(*gpu.errors):
                gpu.wait()
            for captured in [launch.captured for launch in launches.values()]:
                if captured is not None:
                    with suppress(*gpu.errors):
                        gpu.driver.destroy(captured)
            launches.clear()
            if memory is not None:
                memory.free()

    def _recovered(self, gpu: CudaDevice, error: Exception, batch: int) -> BackendError:
        """Free the failed batch's memory, recover if possible, and return the error to raise."""
        logs = [opened.errors for opened in self._engines.values()]
        logged = [message for log in logs for message in log]
        for log in logs:
            log.clear()
        reason = cause_of(error) + "".join(f": {joined_lines(message)}" for message in logged[:1])
        full = gpu.is_full(error) or bool(_FULL.search(reason))
        self._drop_memory()
        if not gpu.answers():
            again, self._lost = not self._lost, True
            self._shut(lost=True)
            if not again:
                return BackendError(f"{self.device} was lost twice ({reason}): check its driver")
            self._open()
            return BatchLostError(f"{self.device} was lost ({reason}) and has been reopened: try again")
        if full and batch == 1:
            return BackendError(
                f"the memory of {self.device} is too small for one face: end other programs that use "
                "it, use a smaller model, or --device cpu"
            )
        if full:
            self.max_batch = batch // 2
            return BatchLostError(
                f"the memory of {self.device} is too small for {batch} faces at once: "
                f"{self.max_batch} from now on"
            )
        return BackendError(f"{self._resolved.api.name} failed on {self.device}: {reason}")

    def _memory_for(self, state: State) -> BatchMemory:
        """Return memory that fits a state: the existing memory, or a larger replacement."""
        memory = self._memory
        if memory is not None and memory.takes(state.batch, state.moves):
            return memory
        assert self._gpu is not None
        before = (memory.batch, memory.moves) if memory else (1, _MOVES)
        self._drop_memory()
        # Most photos have one face; memory for more is allocated on demand, in powers of two.
        batch = min(max(before[0], 1 << (state.batch - 1).bit_length()), self.max_batch)
        memory = BatchMemory(self._gpu, self._tensors, batch, max(before[1], state.moves))
        self._memory = memory  # from here on it is freed, whatever happens
        memory.allocate(max(self._scratch(graph, batch) for graph in REQUIRED))
        return memory

    def _scratch(self, graph: GraphName, batch: int) -> int:
        """Return the bytes of scratch memory that a network needs for batches of a size."""
        return tensorrt_api.set_shapes(self._context(graph), self._shapes(graph, batch))

    def _context(self, graph: GraphName) -> Any:
        opened = self._engines[graph]
        context = tensorrt_api.create_context(opened.api, opened.engine, self._settings[graph])
        if context is None:
            raise EngineError(f"{opened.api.name} cannot make {graph}.onnx ready to run")
        return context

    def _shapes(self, graph: GraphName, batch: int) -> dict[str, tuple[int, ...]]:
        ports = self._package.manifest.graphs[graph].inputs
        return {
            port.name: tuple(batch if isinstance(length, str) else length for length in port.shape)
            for port in ports
        }

    def _launch_of(self, graph: GraphName, batch: int) -> Launch:
        if (graph, batch) not in self._launches:
            assert self._memory is not None
            context = self._context(graph)
            size = tensorrt_api.set_shapes(context, self._shapes(graph, batch))
            addresses = self._memory.addresses(batch)
            tensors = self._package.manifest.graphs[graph]
            bound = {port.name: addresses[same(port.name)] for port in (*tensors.inputs, *tensors.outputs)}
            scratch = self._memory.scratch_of(size)
            tensorrt_api.set_addresses(context, bound, scratch.address, scratch.size)
            self._launches[graph, batch] = Launch(context)
            self._compiled = self._resolved.api.captures
        return self._launches[graph, batch]

    def _launch(
        self,
        graph: GraphName,
        state: State,
        *,
        captured: bool = False,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Enqueue a network.

        captured  run it as a CUDA graph from its second run on, if the driver allows it
        then      work that follows it on the stream, and in the graph
        """
        gpu, launch = self._gpu, self._launch_of(graph, state.batch)
        assert gpu is not None
        # Not a nested function: an error's traceback would keep its frame, and with it the launch, alive.
        work = partial(_put, launch.context, gpu.stream, then)
        wanted = captured and self.captures and not self._resolved.api.captures
        if wanted and launch.run and launch.captured is None:
            try:
                launch.captured = gpu.driver.capture(gpu.stream, work)
            except (DriverError, EngineError):
                self.captures = False
                self._engines[graph].errors.clear()
        if launch.captured is not None:
            gpu.driver.launch(launch.captured, gpu.stream)
        else:
            work()
        launch.run = True

    def _keep_kernels(self) -> None:
        """Save the kernels that TensorRT-RTX has compiled, for the next start."""
        if not self._compiled or self._gpu is None:
            return
        self._compiled = False
        with self._gpu.current():
            for graph, opened in self._engines.items():
                kernels = tensorrt_api.compiled_kernels(self._settings[graph])
                if kernels:
                    with suppress(OSError):  # the folder may be read-only
                        write_whole(opened.cached.kernels, kernels)


def _put(context: Any, stream: int, then: Callable[[], None]) -> None:
    tensorrt_api.enqueue(context, stream)
    then()


def _forget_frames(error: BaseException) -> None:
    """Clear an error's traceback frames: their TensorRT objects must not outlive the GPU's context."""
    traceback.clear_frames(error.__traceback__)
