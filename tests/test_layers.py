"""What may import what, as ARCHITECTURE.md has it: no stage of a photo's way reaches back to a later one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ("photo", "faces", "network", "finish", "rest")
"""Folders of `runtime/`, in the order in which a photo passes through them; `photo` also writes it."""
TABLE = re.compile(r"^\| `(\w+)/` \|.*\| ([^|]+) \|$", re.MULTILINE)
"""A row of ARCHITECTURE.md: a folder, what is in it, and what it may import."""


def layers() -> dict[str, set[str]]:
    """Return the folders that each folder may import."""
    allowed: dict[str, set[str]] = {}
    for folder, may_import in TABLE.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")):
        named = set(re.findall(r"`(\w+)`", may_import))
        allowed[folder] = named or (set(allowed) if may_import.startswith("all") else set())
    return allowed


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def reaching(folder: str, forbidden: set[str]) -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(ROOT)), name)
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in imports(path)
        if any(f"{name}.".startswith(f"{each}.") for each in forbidden)
    ]


def test_no_stage_imports_a_later_one() -> None:
    for i, stage in enumerate(STAGES):
        assert (ROOT / "runtime" / stage).is_dir()
        assert reaching(f"runtime/{stage}", {f"runtime.{later}" for later in STAGES[i + 1 :]}) == []


def test_the_table_names_folders_that_exist_and_all_packages() -> None:
    folders = set(layers())
    assert {each.parent.name for each in ROOT.glob("[!.]*/__init__.py")} <= folders
    assert all((ROOT / folder).is_dir() for folder in folders)
    assert all(allowed <= folders for allowed in layers().values())


@pytest.mark.parametrize("folder", layers())
def test_a_folder_imports_only_what_the_table_allows(folder: str) -> None:
    assert reaching(folder, set(layers()) - layers()[folder] - {folder}) == []
