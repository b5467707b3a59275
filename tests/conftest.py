"""What several tests need: a real photo, and a small package that is quick to run."""

import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut

# The suite gives the same answer every time; `pytest --hypothesis-profile=explore` looks further.
# A busy machine is no failure.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("steady")

# A shell has what it starts in the background ignore Ctrl-C, and what that starts as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of a tiny random network (64×64 crops), exported once."""
    from export.exporter import export_package

    folder = tmp_path_factory.mktemp("packages") / "tiny64"
    export_package(DATA / "tiny64.pth", folder, fused=True)
    return folder


@pytest.fixture(scope="session")
def half_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of the same network in half precision, exported once."""
    from export.exporter import export_package

    folder = tmp_path_factory.mktemp("packages") / "tiny64-half"
    export_package(DATA / "tiny64.pth", folder, fused=True, precision="fp16", name="tiny64")
    return folder


@pytest.fixture(scope="session")
def portrait() -> NDArray[np.uint8]:
    """A photo with one face, 512×512 RGB (NASA, public domain)."""
    return astronaut()


@pytest.fixture
def portrait_file(portrait: NDArray[np.uint8], tmp_path: Path) -> Path:
    """The portrait as a lossless file."""
    path = tmp_path / "portrait.png"
    Image.fromarray(portrait).save(path)
    return path
