"""`python -m tests.fuzz.trial FOLDER`: put every file through the photo reader, within hard limits.

Each file is answered with a line of JSON: its name, and the photo's shape or the error. Memory is limited to
what was taken before and `allowed_bytes`; a file that takes more than LONGEST_SECONDS of the processor's time
ends the process by a signal, so that it has no line.
"""

import gc
import json
import resource
import signal
import sys
import warnings
from pathlib import Path

from base.errors import PhotoError
from runtime.photo.reader import allowed_bytes, read_photo

MEGAPIXELS = 1.0
LONGEST_SECONDS = 5


def _behind(error: BaseException) -> list[str]:
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return [type(each).__name__ for each in chain]


def _taken() -> int:
    """Return the bytes of this process's address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _answer(path: Path) -> dict[str, object]:
    try:
        photo = read_photo(path, max_megapixels=MEGAPIXELS)
    except PhotoError as error:
        return {"error": str(error), "behind": _behind(error)}
    except BaseException as error:
        return {"crash": repr(error)}
    return {"shape": photo.pixels.shape}


def main() -> None:
    """Answer for every file of a folder."""
    warnings.simplefilter("ignore")
    paths = sorted(Path(sys.argv[1]).iterdir())
    for path in {path.name.partition("-")[0]: path for path in paths}.values():
        _answer(path)  # what a format's decoder imports, starts and keeps is not the picture's
    gc.collect()
    resource.setrlimit(resource.RLIMIT_AS, (_taken() + allowed_bytes(MEGAPIXELS),) * 2)
    for path in paths:
        signal.setitimer(signal.ITIMER_PROF, LONGEST_SECONDS)
        print(json.dumps({"name": path.name} | _answer(path)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
