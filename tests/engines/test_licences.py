"""Commercial use of a package is granted by a licence's name, or not at all."""

from dataclasses import replace

import pytest

from engines.licences import grants_commercial_use, without_grant
from engines.package import Package, Source, open_package
from export.gfpgan.architecture import PUBLISHED_LICENCE as GFPGAN_LICENCE
from export.gpen.architecture import PUBLISHED_LICENCE as GPEN_LICENCE


@pytest.mark.parametrize("licence", ["MIT", "Apache-2.0", " apache-2.0 ", "CC0-1.0", "BSD-3-Clause"])
def test_a_licence_that_grants_commercial_use_is_known_by_its_name(licence: str) -> None:
    assert grants_commercial_use(licence)


@pytest.mark.parametrize(
    "licence",
    ["", "unknown", "CC-BY-NC-4.0", "CC BY-NC-SA 4.0", "MIT (non-commercial)", GPEN_LICENCE, GFPGAN_LICENCE],
)
def test_anything_else_grants_nothing(licence: str) -> None:
    assert not grants_commercial_use(licence)


def test_the_bundled_package_may_be_used_commercially_and_its_parts_are_asked_one_by_one() -> None:
    package = open_package()
    assert without_grant(package) == []
    parsed = replace(package.manifest, parsing_source=Source("0" * 64, "unknown"))
    assert without_grant(Package(package.folder, parsed)) == ["face-parsing weights: unknown"]
