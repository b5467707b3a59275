"""Pack portraits small enough for transfer to a machine with a GPU."""

from pathlib import Path

import cv2

from base.errors import PhotoError
from base.files import write_atomically
from portraits.reading import load_portraits, no_finer, pictures_in


def pack(portraits: Path, output: Path, edge: int, quality: int) -> int:
    """Write portraits as JPEG files of at most edge×edge; return their total size in bytes.

    Raises PhotoError if there are no portraits, or the output cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoError(f"cannot make the folder {output}: {error.strerror}") from error
    total = 0
    for path, portrait in zip(pictures_in(portraits), load_portraits(portraits), strict=True):
        _, data = cv2.imencode(
            ".jpg", no_finer(portrait, edge)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
        with write_atomically(output / f"{path.stem}.jpg") as file:
            file.write(data.tobytes())
        total += len(data)
    return total
