"""A model package held open, which restores the faces of photos."""

from pathlib import Path
from types import TracebackType

from engines.builder import Watch
from engines.package import Package, open_package
from runtime.faces.detect import Detector, open_detector
from runtime.faces.face import Face
from runtime.faces.parsing import Parser, open_parser
from runtime.network.backends import MEMORY, Backend, BackendName, Provider, open_backend
from runtime.network.schedule import epsilon_of
from runtime.pixels import Pixels
from runtime.prepared import Networks, PreparedPhoto
from runtime.result import RestoreResult
from runtime.settings.per_face import ByFace
from runtime.settings.settings import RestoreSettings
from runtime.timing import Progress


class Restorer:
    """A model package and a face detector, open for any number of photos."""

    def __init__(
        self, package: Package, backend: Backend, detector: Detector, parser: Parser | None = None
    ) -> None:
        self.package = package
        self.backend = backend
        self.detector = detector
        self.parser = parser
        self.epsilon = epsilon_of(package)
        """The pass threshold ε, which decides how many passes of the network a face takes."""

    @classmethod
    def open(
        cls,
        package: str | Path | None = None,
        backend: BackendName = "auto",
        *,
        device: str | None = None,
        provider: Provider | None = None,
        detector: Path | None = None,
        threads: int | None = None,
        memory: float = MEMORY,
        watch: Watch | None = None,
    ) -> "Restorer":
        """Open a package for work.

        package   folder, or name of a bundled package; None is the bundled default
        backend   what runs the networks; `auto` picks the fastest that is there
        device    `cpu` or `cuda:N`; None is the first CUDA device where the backend can use one
        provider  what ONNX Runtime uses on a GPU; None is `cuda`
        detector  a YuNet .onnx file; None is the bundled CenterFace
        threads   of the CPU for the networks; None is one per core
        memory    for the networks and a batch of faces, in GB: a bound on the faces in a batch, of which
                  there is always one; TensorRT goes by the memory of its GPU
        watch     told how TensorRT engines are built, which takes minutes where there are none yet

        Raises PackageError, BackendError, EngineError and SettingsError.
        """
        opened = open_package(package)
        networks = open_backend(
            backend,
            opened,
            device=device,
            provider=provider,
            threads=threads,
            memory=memory,
            watch=watch,
        )
        return cls(opened, networks, open_detector(detector), open_parser(opened, threads=threads))

    def detect(self, photo: Pixels) -> tuple[Face, ...]:
        """Find the faces of a photo, H×W×3 uint8 or uint16 RGB; the largest comes first.

        Raises PixelsError for anything else.
        """
        return self._of(photo).faces

    def prepare(
        self,
        photo: Pixels,
        settings: RestoreSettings | None = None,
        by_face: ByFace | None = None,
        *,
        found: tuple[Face, ...] | None = None,
        progress: Progress | None = None,
    ) -> PreparedPhoto:
        """Make a photo ready to be restored several times, with other settings each time.

        Detects, cuts out, parses and measures its faces and has the network look at them, as these settings
        need it. `prepared.restore(settings, by_face)` then takes the time of pasting alone for every
        change that leaves what the network sees as it is, see `PreparedPhoto`. A context manager; closed or
        not, its memory goes with it.

        photo  H×W×3 uint8 or uint16 RGB, upright; it must not be changed while it is prepared

        All else is as for `restore`, with the same errors.
        """
        prepared = self._of(photo, found)
        prepared.prepare(settings, by_face, progress=progress)
        return prepared

    def restore(
        self,
        photo: Pixels,
        settings: RestoreSettings | None = None,
        by_face: ByFace | None = None,
        *,
        found: tuple[Face, ...] | None = None,
        progress: Progress | None = None,
    ) -> RestoreResult:
        """Restore the faces of a photo; what is not a face stays bit for bit.

        Several threads may do so at once.

        photo     H×W×3 uint8 or uint16 RGB, upright; not changed
        settings  of all faces
        by_face   of single faces, in their place: by index, 0 the largest; None leaves a face out, and one
                  that the photo does not have is ignored
        found     the photo's faces, where `detect` has found them already
        progress  called with a stage, how many of its faces are done and how many there are, in the thread
                  that restores; an exception that it raises ends the restoration

        Raises PixelsError when the photo is anything else, SettingsError when the settings ask for a face
        that is not there, or those of a face differ in what concerns the whole photo.
        """
        return self._of(photo, found).restore(settings, by_face, progress=progress)

    def close(self) -> None:
        """Release the networks' memory; what is prepared cannot be restored any more."""
        self.backend.close()
        self.parser = None

    def _of(self, photo: Pixels, found: tuple[Face, ...] | None = None) -> PreparedPhoto:
        networks = Networks(self.package, self.backend, self.detector, self.parser, self.epsilon)
        return PreparedPhoto(networks, photo, found)

    def __enter__(self) -> "Restorer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
