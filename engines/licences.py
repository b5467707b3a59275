"""Decide by a licence's identifier alone whether it grants commercial use."""

from engines.package import Package

COMMERCIAL = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0",
    "CC-BY-SA-3.0", "CC-BY-SA-4.0", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later",
    "ISC", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0",
    "MPL-2.0", "PDDL-1.0", "Unlicense", "Zlib",
})  # fmt: skip
"""Identifiers (spdx.org/licenses) of licences that grant commercial use, some under conditions."""


def grants_commercial_use(licence: str) -> bool:
    """Return whether a text is the identifier of a licence that grants commercial use.

    Any other text counts as no grant: terms with exceptions need a person's judgement.
    """
    return licence.strip().lower() in {name.lower() for name in COMMERCIAL}


def without_grant(package: Package) -> list[str]:
    """Return the weights of a package whose licence does not grant commercial use, with that licence."""
    manifest = package.manifest
    sources = {"restoration weights": manifest.source, "face-parsing weights": manifest.parsing_source}
    return [
        f"{what}: {source.licence}"
        for what, source in sources.items()
        if source is not None and not grants_commercial_use(source.licence)
    ]
