"""The faces of a result as sheets show them: numbered, with a mark on those that were left out."""

from base.errors import PhotoError
from runtime.faces.align import AlignedFace, align
from runtime.pixels import Pixels
from runtime.result import RestoreResult

LEFT_OUT = "left out"


def labelled_faces(photo: Pixels, result: RestoreResult, side: int) -> dict[str, AlignedFace]:
    """Return every face by its label, the largest first; faces that were left out are cut out for the sheet.

    photo   H×W×3 uint8 or uint16 RGB, the input of the restoration
    result  of the restoration
    side    of the crop of a face that was left out, in pixels
    """
    template = result.settings.template or "published"
    found = {}
    for i, face in enumerate(result.faces):
        if face.aligned is not None:
            found[f"face {i}"] = face.aligned
            continue
        try:
            found[f"face {i} ({LEFT_OUT})"] = align(photo, face.face, side, template)
        except PhotoError:  # its landmarks coincide: there is nothing to show
            continue
    return found
