"""TensorRT or TensorRT-RTX on a GPU; a batch stays on the GPU between its upload and its download."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError, EngineError, GpenEdgeError
from base.text import cause_of
from engines import tensorrt_api
from engines.builder import MOST_BATCH, Watch
from engines.package import REQUIRED, GraphName, Package
from runtime.network.backends import Batch, BatchLostError, Move
from runtime.network.backends.batch_memory import CROP, BatchMemory, Tensors, same
from runtime.network.backends.cuda_device import CudaDevice
from runtime.network.backends.cuda_driver import DriverError
from runtime.network.backends.gpu_engines import GpuEngines
from runtime.network.backends.tile_engine import TileEngine

_MOVES = 5  # as many as the default settings need; covers the whole range of a user's settings


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
        watch: Watch | None = None,
    ) -> None:
        """Open a package's engines, building those that the cache lacks.

        Raises BackendError or EngineError if the runtime, the GPU or the driver is missing or fails.
        """
        self.name: str = name
        self.captures = True
        """Whether CUDA graphs are captured; False once the driver has refused."""
        self.renews = package.manifest.loop_kind == "renewed"
        if self.renews and package.manifest.moves_latent:
            raise BackendError(
                f"package {package.folder} is marked as renewed, but was exported for another loop: "
                "export its checkpoint with --loop renewed, or add --backend onnxruntime"
            )
        self._package = package
        self._engines = GpuEngines(name, index, watch)
        self.device, self.why = self._engines.device, self._engines.why
        self._tensors = Tensors.of(package.manifest.graphs, REQUIRED)
        self._state: State | None = None
        self._fits = MOST_BATCH
        """The largest batch that the GPU's memory may have room for."""
        self._memory: BatchMemory | None = None
        self._launches: dict[tuple[GraphName, int], Launch] = {}
        self._engines.open(package, REQUIRED, self._free_memory)

    @property
    def max_batch(self) -> int:
        """Largest number of crops in a batch; reduced when memory runs out."""
        return min(self._fits, self._engines.most_batch(REQUIRED))

    def open_tiles(self, package: Package) -> tuple[TileEngine, str]:
        """Open a photo package's engine on the same GPU, until this backend is closed.

        Raises BackendError, EngineError and PackageError.
        """
        runtime = self._engines.api.name
        try:
            tiles = TileEngine(self._engines, package)
        except GpenEdgeError as error:
            self._engines.notice(f"{runtime} cannot run the photo network: {cause_of(error)}")
            raise
        return tiles, f"{runtime} on {self.device}"

    def encode(self, crops: Batch, moves: Sequence[Move] = ()) -> State:
        """Upload B×3×S×S crops in [−1, 1] and the moves of their steps, and encode them."""
        self._engines.turn.acquire()
        if self._state is not None:  # this thread's previous state, never released: it is finished
            self._engines.turn.release()
        self._state = state = State(len(crops), len(moves))
        try:
            with self._at_work(state) as gpu:
                memory = self._memory_for(gpu, state)
                contents = {"crop": crops}
                for i, move in enumerate(moves):
                    contents[f"picture_gain {i}"] = move.picture_gain
                    if not self.renews:
                        contents[f"latent_gain {i}"] = np.full((state.batch, 1), move.latent_gain, np.float32)
                memory.upload(state.batch, contents, state.moves)
                self._launch(gpu, "encoder", state)
                self._launch(gpu, "mapping", state)
                gpu.wait()
        except BaseException:
            self.release(state)
            raise
        return state

    def generate(self, state: State) -> None:
        """Compute r from the state's latent and features."""
        with self._at_work(state) as gpu:
            if self.renews and state.moved:
                self._launch(gpu, "encoder", state, captured=True)
                self._launch(gpu, "mapping", state, captured=True)
                state.moved = False
            self._launch(gpu, "generator", state, captured=True)
            gpu.wait()  # so that the loop's timing includes it

    def step(self, state: State, move: int) -> NDArray[np.float32]:
        """Move the estimate and, unless it is re-encoded, the latent; return the relative change, B."""
        with self._at_work(state) as gpu:
            state.moved = True
            memory = self._memory_for(gpu, state)
            memory.take_move(state.batch, move, state.moves)
            self._launch(gpu, "step", state, captured=True, then=lambda: memory.keep_moved(state.batch))
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
        with self._engines.turn:
            if state is self._state:
                self._state = None
                self._engines.turn.release()  # acquired in `encode`
                self._engines.keep_kernels()

    def close(self) -> None:
        """Free all GPU memory and the GPU; the backend cannot be used afterwards."""
        with self._engines.turn:
            if self._state is not None:
                self.release(self._state)
            self._engines.close()

    def _picture(self, name: str, state: State) -> Batch:
        with self._at_work(state) as gpu:
            memory = self._memory_for(gpu, state)
            memory.download(name, state.batch)
            gpu.wait()
            self._engines.worked()
            return memory.downloaded(name, state.batch)

    @contextmanager
    def _at_work(self, state: State) -> Iterator[CudaDevice]:
        """Hold the GPU for a state; on failure, recover if possible and raise an error that says so."""
        with self._engines.turn:
            if state is not self._state:
                raise BackendError("another batch has been encoded since: release a state before the next")
            with self._engines.at_work(partial(self._too_small, state.batch)) as gpu:
                yield gpu

    def _too_small(self, batch: int) -> BackendError:
        """Return the error to raise if the GPU's memory is full."""
        if batch == 1:
            return BackendError(
                f"the memory of {self.device} is too small for one face: end other programs that use "
                "it, use a smaller model, or --device cpu"
            )
        self._fits = batch // 2
        return BatchLostError(
            f"the memory of {self.device} is too small for {batch} faces at once: {self._fits} from now on"
        )

    def _free_memory(self, gpu: CudaDevice) -> None:
        """Free the memory of batches; on a GPU that no longer responds, as much as possible."""
        memory, launches = self._memory, self._launches
        self._memory, self._launches = None, {}
        for captured in [launch.captured for launch in launches.values()]:
            if captured is not None:
                with suppress(*gpu.errors):
                    gpu.driver.destroy(captured)
        launches.clear()
        if memory is not None:
            memory.free()

    def _memory_for(self, gpu: CudaDevice, state: State) -> BatchMemory:
        """Return memory that fits a state: the existing memory, or a larger replacement."""
        memory = self._memory
        if memory is not None and memory.takes(state.batch, state.moves):
            return memory
        before = (memory.batch, memory.moves) if memory else (1, _MOVES)
        gpu.wait()
        self._free_memory(gpu)
        # Most photos have one face; memory for more is allocated on demand, in powers of two.
        batch = min(max(before[0], 1 << (state.batch - 1).bit_length()), self.max_batch)
        memory = BatchMemory(gpu, self._tensors, batch, max(before[1], state.moves))
        self._memory = memory  # from here on it is freed, whatever happens
        memory.allocate(max(self._scratch(graph, batch) for graph in REQUIRED))
        return memory

    def _scratch(self, graph: GraphName, batch: int) -> int:
        """Return the bytes of scratch memory that a network needs for batches of a size."""
        return tensorrt_api.set_shapes(self._engines.context(graph), self._shapes(graph, batch))

    def _shapes(self, graph: GraphName, batch: int) -> dict[str, tuple[int, ...]]:
        ports = self._package.manifest.graphs[graph].inputs
        return {
            port.name: tuple(batch if isinstance(length, str) else length for length in port.shape)
            for port in ports
        }

    def _launch_of(self, graph: GraphName, batch: int) -> Launch:
        if (graph, batch) not in self._launches:
            assert self._memory is not None
            context = self._engines.context(graph)
            size = tensorrt_api.set_shapes(context, self._shapes(graph, batch))
            addresses = self._memory.addresses(batch)
            tensors = self._package.manifest.graphs[graph]
            bound = {port.name: addresses[same(port.name)] for port in (*tensors.inputs, *tensors.outputs)}
            scratch = self._memory.scratch_of(size)
            tensorrt_api.set_addresses(context, bound, scratch.address, scratch.size)
            self._launches[graph, batch] = Launch(context)
        return self._launches[graph, batch]

    def _launch(
        self,
        gpu: CudaDevice,
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
        launch = self._launch_of(graph, state.batch)
        # Not a nested function: an error's traceback would keep its frame, and with it the launch, alive.
        work = partial(_put, launch.context, gpu.stream, then)
        wanted = captured and self.captures and not self._engines.api.captures
        if wanted and launch.run and launch.captured is None:
            try:
                launch.captured = gpu.driver.capture(gpu.stream, work)
            except (DriverError, EngineError):
                self.captures = False
                self._engines.forget_errors(graph)
        if launch.captured is not None:
            gpu.driver.launch(launch.captured, gpu.stream)
        else:
            work()
        launch.run = True


def _put(context: Any, stream: int, then: Callable[[], None]) -> None:
    tensorrt_api.enqueue(context, stream)
    then()
