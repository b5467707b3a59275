"""An open model package that restores the faces of photos."""

import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from base.errors import PhotoError, SettingsError
from base.text import cause_of, one_line
from engines.builder import Watch
from engines.package import Package, open_package
from runtime.chosen_faces import ChosenFaces
from runtime.faces.detect import Detector, open_detector
from runtime.faces.face import Face
from runtime.faces.mesh_network import MeshFinder, MeshNetwork
from runtime.faces.parsing import Parser, open_parser
from runtime.faces.recognise import Descriptor, Recogniser, open_recogniser
from runtime.identity import know
from runtime.network.backends import Backend, BackendName, Provider, open_backend
from runtime.network.backends.fastest import may_measure
from runtime.network.schedule import most_passes_of
from runtime.photo.reader import read_photo
from runtime.pixels import Pixels, eight_bit
from runtime.prepared import PreparedPhoto
from runtime.rest.network import PhotoNetwork
from runtime.rest.opening import open_photo_network
from runtime.result import RestoreResult
from runtime.settings.per_face import ByFace
from runtime.settings.settings import RestoreSettings
from runtime.timing import Progress


class Restorer:
    """A model package and a face detector, open for any number of photos."""

    def __init__(
        self,
        package: Package,
        backend: Backend,
        detector: Detector,
        parser: Parser | None = None,
        meshes: MeshFinder | None = None,
        *,
        recogniser: Path | None = None,
        photo_network: Callable[[], PhotoNetwork] | None = None,
        threads: int | None = None,
    ) -> None:
        self._recogniser, self._threads = recogniser, threads
        self._person: tuple[tuple[Path, int], Descriptor] | None = None
        self.package = package
        self.backend = backend
        self.detector = detector
        self.parser = parser
        self.meshes = meshes
        self.most_passes = most_passes_of(package)
        """The largest number of passes of the network that a face takes."""
        self._open_photo_network = photo_network or (lambda: open_photo_network(None, backend))
        self._photo_network: PhotoNetwork | None = None
        self._opening = threading.Lock()

    @classmethod
    def open(
        cls,
        package: str | Path | None = None,
        backend: BackendName = "auto",
        *,
        device: str | None = None,
        provider: Provider | None = None,
        detector: Path | None = None,
        recogniser: Path | None = None,
        photo_network: str | Path | None = None,
        threads: int | None = None,
        memory: float | None = None,
        watch: Watch | None = None,
    ) -> "Restorer":
        """Open a package.

        package        folder, or name of a bundled package; None is the bundled default
        backend        what runs the networks; `auto` picks the fastest available
        device         `cpu` or `cuda:N`; None is the first CUDA device if the backend can use one
        provider       what ONNX Runtime uses on a GPU; None is `cuda`
        detector       a YuNet .onnx file; None is the bundled CenterFace
        recogniser     an SFace .onnx file; None is the bundled descriptor of dlib
        photo_network  restores the rest of a photo: an .onnx file that takes and returns RGB in [0, 1], at 1,
                       2 or 4 times the size, or a package of the kind `photo`; None is the bundled one, if
                       there is one, which is opened when it is first needed
        threads        CPU threads for the networks; None is one per core
        memory         bound in GB on what restoring a batch of faces takes, which limits the faces in it;
                       None is 2, or as much as one face takes; TensorRT goes by the memory of its GPU
        watch          receives the progress of building TensorRT engines, which takes minutes if none exist

        Raises PackageError, BackendError, EngineError, and SettingsError, also if one face takes more than
        `memory`.
        """
        opened = open_package(package, kind="face")
        networks = open_backend(
            backend, opened, device=device, provider=provider, threads=threads, memory=memory, watch=watch
        )
        restorer = cls.around(
            opened,
            networks,
            detector=detector,
            recogniser=recogniser,
            photo_network=photo_network,
            threads=threads,
            fastest=backend == "auto" and may_measure(),
        )
        try:
            if photo_network is not None:  # so that a bad one is refused before any photo
                restorer.photo_network()
            if recogniser:
                _ = restorer.recogniser  # so that a wrong file is refused now
        except BaseException:
            restorer.close()
            raise
        return restorer

    @classmethod
    def around(
        cls,
        package: Package,
        backend: Backend,
        *,
        detector: Path | None = None,
        recogniser: Path | None = None,
        photo_network: str | Path | None = None,
        threads: int | None = None,
        fastest: bool = False,
    ) -> "Restorer":
        """Return a restorer with a backend that is already open, and everything else that `open` opens.

        fastest  measure once what runs the rest of a photo fastest

        Other arguments and errors are those of `open`.
        """
        return cls(
            package,
            backend,
            open_detector(detector, threads=threads),
            open_parser(package, threads=threads),
            MeshNetwork(threads),
            recogniser=recogniser,
            photo_network=lambda: open_photo_network(photo_network, backend, threads, fastest=fastest),
            threads=threads,
        )

    @cached_property
    def recogniser(self) -> Recogniser:
        """The face recogniser, opened when it is first needed. Raises SettingsError and BackendError."""
        return open_recogniser(self._recogniser, self._threads)

    def person(self, path: Path) -> Descriptor:
        """Return the descriptor of the largest face in a photo; it is read again if the file changes.

        Raises SettingsError if there is none, or the photo shows too little of it.
        """
        name = one_line(path)
        try:
            seen = (path, path.stat().st_mtime_ns)
            known = self._person  # another thread may ask for another person meanwhile
            if known is None or known[0] != seen:
                pixels = read_photo(path).pixels
                found = self.detector.detect(eight_bit(pixels))
                if not found:
                    raise SettingsError(f"person={name}: no face was found in it, give another photo")
                face = know(self.recogniser, pixels, found[0])
                if face.is_poor:
                    raise SettingsError(f"person={name}: the face is too blurred, give a sharper photo")
                self._person = known = (seen, face.descriptor)
        except (OSError, PhotoError) as error:
            hint = ": person=FILE comes last, after all other rules" if "," in path.name else ""
            raise SettingsError(f"person={name} cannot be read: {cause_of(error)}{hint}") from error
        return known[1]

    def photo_network(self) -> PhotoNetwork:
        """Return the network that restores the rest of a photo; it is opened when it is first needed.

        Raises PackageError and BackendError.
        """
        with self._opening:
            if self._photo_network is None:
                self._photo_network = self._open_photo_network()
            return self._photo_network

    def detect(self, photo: Pixels) -> tuple[Face, ...]:
        """Find the faces of a photo, H×W×3 uint8 or uint16 RGB; the largest comes first.

        Raises PixelsError for anything else.
        """
        return PreparedPhoto(self, photo).faces

    def choose(
        self,
        photo: Pixels,
        settings: RestoreSettings | None = None,
        by_face: ByFace | None = None,
        *,
        found: tuple[Face, ...] | None = None,
    ) -> ChosenFaces:
        """Return which faces would be restored, and with which settings; arguments as for `restore`."""
        return PreparedPhoto(self, photo, found).choose(settings, by_face)

    def prepare(
        self,
        photo: Pixels,
        settings: RestoreSettings | None = None,
        by_face: ByFace | None = None,
        *,
        found: tuple[Face, ...] | None = None,
        progress: Progress | None = None,
    ) -> PreparedPhoto:
        """Prepare a photo to be restored several times with different settings.

        Detects, cuts out, parses and measures its faces and runs the network, as far as these settings
        require it. `prepared.restore(settings, by_face)` then only takes the time of pasting, unless a
        setting changes the network's input, see `PreparedPhoto`. It is a context manager; its memory is
        also freed if it is not closed.

        photo  H×W×3 uint8 or uint16 RGB, upright; it must not be changed while it is prepared

        Other arguments and errors are those of `restore`.
        """
        prepared = PreparedPhoto(self, photo, found)
        prepared.prepare(settings, by_face, progress=progress)
        return prepared

    def restore(
        self,
        photo: Pixels,
        settings: RestoreSettings | None = None,
        by_face: ByFace | None = None,
        *,
        found: tuple[Face, ...] | None = None,
        identify: bool = False,
        progress: Progress | None = None,
    ) -> RestoreResult:
        """Restore the faces of a photo; all other pixels are unchanged, bit for bit, in the scope `faces`.

        May be called from several threads at once.

        photo     H×W×3 uint8 or uint16 RGB, upright; not changed
        settings  settings of all faces
        by_face   settings that replace them for single faces, by index; 0 is the largest. None leaves a
                  face out; indices of faces that do not exist are ignored
        found     the photo's faces, if `detect` has already found them
        identify  measure whether each face is still the same person, even without `same_person`
        progress  called with a stage, the number of its faces done and their total, in the thread that
                  restores; an exception that it raises cancels the restoration

        Raises PixelsError if the photo is not such an array, and SettingsError if the settings name a face
        that does not exist, or those of a face differ in a setting of the whole photo.
        """
        prepared = PreparedPhoto(self, photo, found)
        return prepared.restore(settings, by_face, identify=identify, progress=progress)

    def close(self) -> None:
        """Release the networks' memory; prepared photos can no longer be restored."""
        self.backend.close()
        self.parser = self.meshes = self._photo_network = None

    def __enter__(self) -> "Restorer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
