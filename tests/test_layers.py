"""What may import what, as ARCHITECTURE.md has it: no stage of a photo's way reaches back to a later one."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGES = ("photo", "faces", "network", "finish", "rest")
"""Folders of `runtime/`, in the order in which a photo passes through them; `photo` also writes it."""
LAYERS = {
    "base": set(),
    "engines": {"base"},
    "runtime": {"base", "engines"},
    "portraits": {"base", "engines", "runtime"},
    "export": {"base", "engines", "portraits"},
    "calibration": {"base", "engines", "runtime", "portraits", "export"},
    "training": {"base", "engines", "runtime", "portraits", "export", "calibration"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
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


def test_no_folder_imports_one_above_it() -> None:
    ours = {*LAYERS, "bench", "integrations", "tests"}
    for folder, below in LAYERS.items():
        assert reaching(folder, ours - below - {folder}) == []
