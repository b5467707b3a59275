"""Restore a photo with everything in its file: all pages, alpha, colour profile and metadata."""

from runtime.commands.pages import restore_pages
from runtime.commands.restored_photo import restored
from runtime.photo.reader import Photo
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings.per_face import ByFace
from runtime.settings.resolved import ResolvedSettings
from runtime.settings.settings import RestoreSettings
from runtime.timing import Progress


def restore_photo(
    restorer: Restorer,
    photo: Photo,
    settings: RestoreSettings | None = None,
    by_face: ByFace | None = None,
    *,
    strip_metadata: bool = False,
    progress: Progress | None = None,
) -> tuple[Photo, RestoreResult]:
    """Restore the faces of a photo from `read_photo`; return the restored photo, for writing, and the result.

    A photo in which nothing was changed is written as a copy of its file.

    settings, by_face, progress  as for `Restorer.restore`; faces are numbered on each page of a TIFF
    strip_metadata               leave out EXIF with its GPS position, XMP and captions; the colours stay

    Raises GpenEdgeError.
    """
    result = restore_pages(
        lambda pixels, resolved: restorer.restore(
            pixels, resolved.settings, resolved.by_face, progress=progress
        ),
        photo,
        ResolvedSettings(settings or RestoreSettings(), by_face or {}),
    )
    return restored(photo, result, strip_metadata=strip_metadata), result
