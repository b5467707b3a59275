"""What the tests of the finishing steps share."""

from collections.abc import Iterator

import pytest

from engines.package import open_package
from portraits.aligned import AlignedPortraits
from runtime.network.backends import open_backend
from runtime.restorer import Restorer


@pytest.fixture(scope="module")
def bundled() -> Iterator[Restorer]:
    """The bundled package, for photos that are aligned portraits."""
    package = open_package()
    with Restorer(package, open_backend("auto", package, threads=1), AlignedPortraits()) as opened:
        yield opened
