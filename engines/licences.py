"""Does a licence grant commercial use? Told by its name, and by nothing else."""

from engines.package import Package

COMMERCIAL = frozenset(
    (
        *(
            "0BSD",
            "Apache-2.0",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "BSL-1.0",
            "CC0-1.0",
            "CC-BY-3.0",
            "CC-BY-4.0",
        ),
        *("CC-BY-SA-3.0", "CC-BY-SA-4.0", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only"),
        *(
            "GPL-3.0-or-later",
            "ISC",
            "LGPL-2.1-only",
            "LGPL-2.1-or-later",
            "LGPL-3.0-only",
            "LGPL-3.0-or-later",
        ),
        *("MIT", "MIT-0", "MPL-2.0", "PDDL-1.0", "Unlicense", "Zlib"),
    )
)
"""Identifiers (spdx.org/licenses) of licences that grant commercial use, some of them under conditions."""


def grants_commercial_use(licence: str) -> bool:
    """Return whether a licence is the identifier of one that grants commercial use.

    Anything else grants nothing here: a text with exceptions is for a person to judge.
    """
    return licence.strip().lower() in {name.lower() for name in COMMERCIAL}


def without_grant(package: Package) -> list[str]:
    """Return which weights of a package have no licence that grants commercial use, and what they have."""
    manifest = package.manifest
    sources = {"restoration weights": manifest.source, "face-parsing weights": manifest.parsing_source}
    return [
        f"{what}: {source.licence}"
        for what, source in sources.items()
        if source is not None and not grants_commercial_use(source.licence)
    ]
