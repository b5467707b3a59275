"""The command line of archives: what it needs, and what it refuses."""

import sys
from pathlib import Path

import pytest

from runtime.archive.__main__ import main


def test_without_ray_the_command_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("runtime.archive.")]:
        if name not in ("runtime.archive.__main__", "runtime.archive.options"):
            monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name == "ray" or name.startswith("ray.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)  # what Python raises if it is not installed
    assert main([str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install 'gpen-edge[archive]'" in error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--actors", "4-2"], "the least and the most"),
        (["--actors", "none"], "the least and the most"),
        (["--preset", "nothing"], "preset"),
        ([], "does not exist"),
        (["--limit", "0"], "--limit is 0: give 1 or more"),
        (["--cpus", "0"], "--cpus is 0: give more than 0"),
        (["--max-megapixels", "nan"], "--max-megapixels"),
    ],
)
def test_wrong_options_are_explained_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'gpen-edge[archive]'")
    assert main([str(tmp_path / "photos"), "-o", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
    assert not (tmp_path / "out").exists()
