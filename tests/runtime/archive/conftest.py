"""What the tests of archives share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture
def album(tmp_path: Path, portrait: NDArray[np.uint8]) -> Callable[..., Path]:
    """Return what makes a folder of small photos: portraits, but for those whose names say otherwise."""

    def made(*names: str) -> Path:
        small = np.ascontiguousarray(portrait[:256:2, 64:320:2])
        for i, name in enumerate(names):
            path = tmp_path / "album" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if "broken" in name:
                path.write_bytes(b"\xff\xd8\xff\xe0 no photo")
            elif "deep" in name:
                deep = small[:, :, 1].astype(np.uint16) * 257
                Image.fromarray(deep).save(path)
            else:
                Image.fromarray(np.roll(small, i, axis=1)).save(path)
        return tmp_path / "album"

    return made


@pytest.fixture
def store() -> Iterator[Any]:
    """An object store of fsspec, at `stand-in://`."""
    from fsspec import register_implementation

    from tests.runtime.archive.object_store import Store

    register_implementation("stand-in", Store, clobber=True)
    yield Store
    Store.store.clear()
    Store.refuses.clear()
    Store.pseudo_dirs[:] = [""]
