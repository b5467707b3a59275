"""What a user should know about a photo that was restored, in sentences."""

from collections.abc import Iterable
from pathlib import Path

from base.text import listed
from runtime.commands.grouped_warnings import shared_warnings
from runtime.photo.reader import Photo
from runtime.photo.writer import is_copied, left_out
from runtime.result import RestoreResult
from runtime.settings.resolved import ResolvedSettings


def remarks(result: RestoreResult, resolved: ResolvedSettings) -> Iterable[str]:
    """Yield remarks about the faces."""
    if not result.every_face:
        whole = result.settings.scope == "photo" and result.settings.strength > 0
        yield f"no face found; {'only the rest of the photo' if whole else 'nothing'} was restored"
        return
    for number, page in enumerate((result, *result.pages), start=1):
        of_page = f"page {number}: " if result.pages else ""
        yield from (f"{of_page}{warning}" for warning in shared_warnings(page.faces))
    if not any(face.loop for face in result.every_face):
        reasons = [f"face {i}: {face.choice}" for i, face in enumerate(result.faces) if face.choice]
        if reasons:
            others = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            yield f"no face was restored ({reasons[0]}{others})"
    for i in resolved.by_face:
        if i >= len(result.faces):
            faces = "1 face" if len(result.faces) == 1 else f"{len(result.faces)} faces"
            yield f"settings were given for face {i}, but the photo has only {faces}"


def file_remarks(written: Photo, output: Path) -> Iterable[str]:
    """Yield remarks about the photo's file, and about what its result cannot hold.

    written  as `restored` returns it
    """
    source, copied = written.source, is_copied(written, output)
    if source.damaged:
        done = "it was copied as it is" if copied else "what can be read of it was restored"
        yield f"the file is damaged or cut short; {done}"
    if not copied or (source.stripped and source.format == "JPEG"):
        if "an animation" in source.parts:
            yield "the file is an animation; only its first frame was restored and written"
        elif source.parts:
            yield f"the file also holds {listed(source.parts)}, which the result does not have"
    if left := left_out(written, output):
        yield f"{output.suffix[1:].upper()} has no place for {listed(left)}: left out"
    if not copied and source.colours and source.colours.cicp and output.suffix.lower() != ".png":
        yield "the photo is HDR; the result's colour profile compresses its highlights to what a screen shows"
