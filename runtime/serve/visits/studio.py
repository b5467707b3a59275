"""Restores customers' photos: prepares them once, shows them with any preset and strength, restores them at
full size."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from base.errors import DeviceLostError
from runtime.commands.remarks import file_remarks, remarks
from runtime.commands.restored_photo import check_size, restored
from runtime.face_warnings import is_tiny
from runtime.photo.reader import Photo, read_photo
from runtime.photo.writer import write_photo
from runtime.prepared import PreparedPhoto
from runtime.restorer import Restorer
from runtime.result import FaceResult, RestoreResult
from runtime.serve.pictures import SCREEN, Look, Pictures, Small, between, jpeg, small, squares
from runtime.serve.shared_restorer import SharedRestorer
from runtime.serve.wire import Choice, FaceAbout, FaceWarnings, RemarkAbout, WarningAbout
from runtime.settings.per_face import ByFace
from runtime.settings.resolved import ResolvedSettings
from runtime.settings.settings import RestoreSettings
from runtime.timing import Progress

_DEFAULTS = ResolvedSettings()
_ENDING = 1.0
"""Seconds for which the end waits for the restorer, after the line and the hot folder have had theirs."""
_KEPT_FORMATS = {"PNG": ".png", "WEBP": ".webp"}
"""Formats of photos that their results keep; others become JPEGs, which every phone shows."""


@dataclass(frozen=True)
class Found:
    """What is known about a photo once it is prepared."""

    width: int
    height: int
    faces: tuple[FaceAbout, ...]
    remarks: tuple[RemarkAbout, ...]


@dataclass(frozen=True)
class Made:
    """A result that was written."""

    width: int
    height: int
    suffix: str
    faces: tuple[FaceWarnings, ...]


@dataclass(frozen=True, eq=False)
class _Ready:
    """A photo that is kept ready."""

    restorer: Restorer
    photo: Photo
    prepared: PreparedPhoto
    further: int
    """Further pages of the file."""


class Studio:
    """Works for one visit at a time; only `shown`, `photo`, `face` and `shown_face` may be called from other
    threads."""

    def __init__(
        self,
        shared: SharedRestorer,
        presets: Mapping[str, RestoreSettings],
        *,
        prepared: int,
        max_megapixels: float,
        strip_metadata: bool,
    ) -> None:
        """Create it.

        presets   the offered presets, the default first
        prepared  how many photos are kept ready
        """
        self._shared, self._presets = shared, dict(presets)
        self._most, self._max_megapixels, self._strip = prepared, max_megapixels, strip_metadata
        self._ready: OrderedDict[str, _Ready] = OrderedDict()
        self._pictures = Pictures()

    @property
    def lost(self) -> DeviceLostError | None:
        """Why nothing can be restored until the process is started again; None while it can."""
        return self._shared.lost

    @property
    def default(self) -> str:
        """The preset that a photo is first shown with."""
        return next(iter(self._presets))

    def prepare(self, visit: str, file: Path, progress: Progress) -> Found:
        """Read a photo, find its faces and restore them with the default preset. Raises GpenEdgeError."""
        self.forget(visit)
        with self._shared.turn() as restorer:
            ready = self._prepared(visit, file, restorer, progress)
            result = ready.prepared.restore(self._presets[self.default], progress=progress)
        look = Look(
            small(ready.photo.pixels, ready.photo.alpha, SCREEN),
            ready.photo.source,
            tuple(squares(ready.photo, [face.box for face in result.faces])),
        )
        self._pictures.put(visit, "look", look)
        self._pictures.put(visit, _key(Choice(self.default)), _like(look, ready.photo, result))
        height, width = ready.photo.pixels.shape[:2]
        faces = tuple(_about(i, face) for i, face in enumerate(result.faces))
        return Found(width, height, faces, tuple(_remarks(ready, result)))

    def shown(self, visit: str, choice: Choice, size: int) -> bytes | None:
        """Return a preview as JPEG if the restorer is not needed for it, otherwise None."""
        look, restored_look = self._pictures.get(visit, "look"), self._pictures.get(visit, _key(choice))
        if look is None or restored_look is None or size > SCREEN:
            return None
        return jpeg(small(between(look.photo, restored_look, choice.strength), None, size), look.source)

    def preview(self, visit: str, file: Path, choice: Choice, size: int, progress: Progress) -> bytes:
        """Return exactly the result at a small size, as JPEG. Raises GpenEdgeError."""
        with self._shared.turn() as restorer:
            ready = self._of(visit, file, restorer, progress)
            result = ready.prepared.restore(
                self._presets[choice.preset], _left_out(choice), progress=progress
            )
        look = self._pictures.get(visit, "look")
        if look is not None:
            self._pictures.put(visit, _key(choice), _like(look, ready.photo, result))
        shown = self.shown(visit, choice, size)
        if shown is not None:
            return shown
        own = small(ready.photo.pixels, ready.photo.alpha, size)
        picture = small(result.photo, ready.photo.alpha, max(own.shape[:2]))
        return jpeg(between(own, picture, choice.strength), ready.photo.source)

    def photo(self, visit: str, file: Path, size: int | None) -> bytes:
        """Return the original photo, upright, as JPEG. Raises PhotoError."""
        look = self._pictures.get(visit, "look")
        if look is not None and size is not None and size <= SCREEN:
            return jpeg(small(look.photo, None, size), look.source)
        ready = self._ready.get(visit)
        photo = ready.photo if ready else read_photo(file.read_bytes(), max_megapixels=self._max_megapixels)
        return jpeg(small(photo.pixels, photo.alpha, size or max(photo.pixels.shape)), photo.source)

    def face(self, visit: str, index: int, size: int) -> bytes | None:
        """Return the square around a face as JPEG; None if it is not kept."""
        look = self._pictures.get(visit, "look")
        if look is None or not 0 <= index < len(look.faces):
            return None
        return jpeg(small(look.faces[index], None, size), look.source)

    def shown_face(self, visit: str, index: int, preset: str, size: int) -> bytes | None:
        """Return the square around a face as a preset restores it, as JPEG; None if it is not kept."""
        look, square = self._pictures.get(visit, "look"), self._pictures.get(visit, (index, preset))
        if look is None or square is None:
            return None
        return jpeg(small(square, None, size), look.source)

    def restored_face(
        self, visit: str, index: int, preset: str, size: int, progress: Progress
    ) -> bytes | None:
        """Return the same, restored now; None if the photo is not kept ready. Raises GpenEdgeError.

        Only this face is restored, and nothing around it, so that it takes a fraction of a second.
        """
        if (shown := self.shown_face(visit, index, preset, size)) is not None:
            return shown
        with self._shared.turn() as restorer:
            ready = self._ready.get(visit)
            if ready is None or ready.restorer is not restorer:
                return None  # to prepare it would take the place of another customer's photo
            settings = replace(self._presets[preset], scope="faces", upscale=1)
            others = dict.fromkeys(i for i in range(len(ready.prepared.faces)) if i != index)
            result = ready.prepared.restore(settings, others, progress=progress)
        (square,) = squares(replace(ready.photo, pixels=result.photo), [result.faces[index].box])
        self._pictures.put(visit, (index, preset), square)
        look = self._pictures.get(visit, "look")
        if look is not None and not others and settings == self._presets[preset]:  # the preview is the same
            self._pictures.put(visit, _key(Choice(preset)), _like(look, ready.photo, result))
        return jpeg(small(square, None, size), ready.photo.source)

    def make(
        self, visit: str, file: Path, choice: Choice, result: Callable[[str], Path], progress: Progress
    ) -> Made:
        """Restore a photo at full size and write it, whole or not at all. Raises GpenEdgeError.

        result  returns the path of the result with a suffix
        """
        preset = self._presets[choice.preset]
        settings = replace(preset, strength=preset.strength * choice.strength)
        with self._shared.turn() as restorer:
            ready = self._of(visit, file, restorer, progress)
            check_size(ready.photo, settings.upscale, self._max_megapixels)
            done = ready.prepared.restore(settings, _left_out(choice), progress=progress)
        progress("write", 0, 1)
        written = restored(ready.photo, done, strip_metadata=self._strip)
        suffix = _KEPT_FORMATS.get(written.source.format or "", ".jpg")
        write_photo(result(suffix), written, overwrite=True)
        progress("write", 1, 1)
        height, width = done.photo.shape[:2]
        faces = tuple(FaceWarnings(i, _warnings(face)) for i, face in enumerate(done.faces))
        return Made(width, height, suffix, faces)

    def forget(self, visit: str) -> None:
        """Release all memory of a visit."""
        self._pictures.forget(visit)
        if (ready := self._ready.pop(visit, None)) is not None:
            ready.prepared.close()

    def close(self) -> None:
        """Release everything, and the restorer, unless it goes on with a photo even now."""
        if self._shared.close_at_the_end(_ENDING):
            for visit in list(self._ready):
                self.forget(visit)

    def reopen(self) -> None:
        """Close the restorer after a failure; it is opened again when it is needed."""
        self._shared.close()

    def is_well(self) -> bool:
        """Return whether the networks work."""
        return self._shared.is_well()

    def _of(self, visit: str, file: Path, restorer: Restorer, progress: Progress) -> _Ready:
        """Return the prepared photo of a visit; prepare it again if it was dropped or the networks failed."""
        ready = self._ready.get(visit)
        if ready is not None and ready.restorer is restorer:
            self._ready.move_to_end(visit)
            return ready
        return self._prepared(visit, file, restorer, progress)

    def _prepared(self, visit: str, file: Path, restorer: Restorer, progress: Progress) -> _Ready:
        progress("read", 0, 1)
        photo = read_photo(file.read_bytes(), max_megapixels=self._max_megapixels)
        photo, further = replace(photo, pages=()), len(photo.pages)
        prepared = restorer.prepare(photo.pixels, self._presets[self.default], progress=progress)
        ready = _Ready(restorer, photo, prepared, further)
        self._ready[visit] = ready
        while len(self._ready) > self._most:
            _, oldest = self._ready.popitem(last=False)
            oldest.prepared.close()
        return ready


def _key(choice: Choice) -> Hashable:
    """Return what a picture at full strength depends on."""
    return choice.preset, choice.leave_out


def _left_out(choice: Choice) -> ByFace:
    return dict.fromkeys(choice.leave_out)


def _like(look: Look, photo: Photo, result: RestoreResult) -> Small:
    """Return a result at the size of the photo's look."""
    return small(result.photo, photo.alpha, max(look.photo.shape[:2]))


def _remarks(ready: _Ready, result: RestoreResult) -> list[RemarkAbout]:
    found = [] if result.faces else [RemarkAbout("no-face", each) for each in remarks(result, _DEFAULTS)]
    source = ready.photo.source
    code = "damaged" if source.damaged else "animation" if "an animation" in source.parts else "file"
    found += [RemarkAbout(code, each) for each in file_remarks(ready.photo, Path("result.jpg"))]
    if ready.further:
        sentence = f"the file has {ready.further + 1} pages: only the first one is restored"
        found.append(RemarkAbout("pages", sentence))
    return found


def _about(index: int, face: FaceResult) -> FaceAbout:
    x0, y0, x1, y1 = face.box
    circle = ((x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) * 0.6)
    return FaceAbout(index, face.box, circle, is_tiny(face.face), _warnings(face))


def _warnings(face: FaceResult) -> tuple[WarningAbout, ...]:
    return tuple(WarningAbout(each.code, each.sentence, each.cause) for each in face.warnings)
