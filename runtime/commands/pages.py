"""Restore a photo with all its pages."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from base.errors import SettingsError
from runtime.photo.reader import Photo
from runtime.pixels import Pixels
from runtime.result import RestoreResult
from runtime.settings.face_rules import FaceChoice, fewer, read_rules
from runtime.settings.resolved import ResolvedSettings

Restore = Callable[[Pixels, ResolvedSettings], RestoreResult]


def restore_pages(restore: Restore, photo: Photo, resolved: ResolvedSettings) -> RestoreResult:
    """Restore a photo and the further pages of a TIFF; the timings are sums over all pages.

    Faces are numbered on each page separately; a face that was asked for is ignored on pages without it.
    """
    result = restore(photo.pixels, resolved)
    pages = [_restore_page(restore, page.pixels, resolved, 2 + i) for i, page in enumerate(photo.pages)]
    timings: Counter[str] = Counter()
    for each in (result, *pages):
        timings.update(each.timings)
    return replace(result, timings=dict(timings), pages=tuple(pages))


def _restore_page(restore: Restore, pixels: Pixels, resolved: ResolvedSettings, number: int) -> RestoreResult:
    try:
        result = restore(pixels, resolved)
    except SettingsError:
        wanted = resolved.settings.face
        if not read_rules(wanted).numbers:
            raise
        if others := fewer(wanted):
            return _restore_page(restore, pixels, _of_faces(resolved, others), number)
        return RestoreResult(pixels, (), {}, resolved.settings)
    return replace(result, faces=tuple(replace(face, page=number) for face in result.faces))


def _of_faces(resolved: ResolvedSettings, faces: FaceChoice) -> ResolvedSettings:
    by_face = {i: own and replace(own, face=faces) for i, own in resolved.by_face.items()}
    return replace(resolved, settings=replace(resolved.settings, face=faces), by_face=by_face)
