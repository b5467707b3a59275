"""Nothing is overwritten unasked, whatever the inputs, outputs, sheets, masks and reports are called."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import runtime.commands.same_file
import runtime.restore
from base.errors import PhotoError
from base.text import folded
from engines.package import open_package
from runtime.commands.overwriting import Source, Target, check_targets
from runtime.commands.same_file import exactly, folding_of, identities
from runtime.faces.detect import open_detector
from runtime.network.backends import open_backend
from runtime.restore import main
from runtime.restorer import Restorer

SIDE = 9
"""Pixels: no photo here has a face, and no sheet is so small."""

FILES = ("in/a.png", "in/a.gif", "in/a.jpg", "in/b.png", "in/sub/a.png", "in/A.png", "a.png", "out/a.png")
FOLDERS = ("", "in/", "in/sub/", "out/", "new/", "link/")
NAMES = ("a.png", "A.png", "a.jpg", "b.png", "a.png.png", "soft.png", "hard.png", "nowhere.png", "r.json")


@pytest.fixture(scope="module", autouse=True)
def one_restorer(tiny_package: Path) -> Iterator[None]:
    """Open the networks once for all the runs of these tests."""
    package = open_package(tiny_package)
    backend = open_backend("auto", package, threads=1)
    restorer = Restorer(package, backend, open_detector(None, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime.restore, "open_restorer", lambda wanted: nullcontext(restorer))
        yield
    restorer.close()


def photo(path: Path, level: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((SIDE, SIDE, 3), level, np.uint8)).save(path)
    return path


def run(*arguments: object) -> int:
    return main([*map(str, arguments)])


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return what every file holds, and where every link leads."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


paths = st.builds(lambda folder, name: folder + name, st.sampled_from(FOLDERS), st.sampled_from(NAMES))
links = st.dictionaries(
    st.builds(
        lambda folder, name: folder + name,
        st.sampled_from(("in/", "out/", "")),
        st.sampled_from(("soft.png", "hard.png", "nowhere.png")),
    ),
    st.sampled_from(FILES),
    max_size=3,
)
arguments = st.fixed_dictionaries(
    {
        "photos": st.lists(st.integers(-2, len(FILES)), min_size=1, max_size=2),
        "-o": st.one_of(st.sampled_from(("in", "out", "new", "link", "new/deep")), paths),
    },
    optional={
        "--compare": st.one_of(st.sampled_from(("in", "out", "new", "sheets", "link")), paths),
        "--masks": paths,
        "--report": paths,
        "--list-faces": paths,
        "--compare-presets": paths,
        "--recursive": st.none(),
        "--resume": st.none(),
        "--overwrite": st.none(),
    },
)


def made(root: Path, files: set[str], linked: dict[str, str]) -> None:
    for i, name in enumerate(sorted(files)):
        photo(root / name, 10 * i)
    for folder in ("in/sub", "out"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "r.json").write_text("mine")
    (root / "link").symlink_to("in")
    for name, target in linked.items():
        if "hard" in name and (root / target).exists():
            os.link(root / target, root / name)
        elif not (root / name).exists():
            (root / name).symlink_to(root / ("none.png" if "nowhere" in name else target))


@given(st.sets(st.sampled_from(FILES), min_size=1), links, arguments)
def test_no_file_that_exists_is_changed_unless_that_is_allowed(
    files: set[str], linked: dict[str, str], drawn: dict[str, object]
) -> None:
    drawn = dict(drawn)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root = Path(folder)
        patch.chdir(root)
        made(root, files, linked)
        before = contents(root)
        numbers: list[int] = drawn.pop("photos")  # type: ignore[assignment]
        photos = ["in" if number < 0 else sorted(files)[number % len(files)] for number in numbers]
        options = [word for name, value in drawn.items() for word in (name, value) if word is not None]
        status = run(*photos, *options)
        assert status in (0, 2, 3)
        after = contents(root)
        assert not [name for name in after if ".gpen-edge" in name]
        changed = {name for name, content in before.items() if after.get(name) != content}
        if "--overwrite" not in drawn:
            assert changed == set()
            return
        for name in changed - {"r.json"}:  # by a photo's own result, or what is no photo of this run
            read = any(name == each or name.startswith(f"{each}/") for each in photos)
            assert not read or Image.open(root / name).size == (SIDE, SIDE)


def test_an_album_of_pngs_does_not_become_its_own_sheets(tmp_path: Path) -> None:
    album = photo(tmp_path / "album" / "one.png").parent
    photo(album / "two.png")
    before = contents(album)
    assert run(album, "-o", tmp_path / "out", "--compare", album) == 0
    after = contents(album)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"one.png.png", "two.png.png"}


@pytest.mark.parametrize("option", ["--report", "--masks", "--compare", "--list-faces", "--compare-presets"])
@pytest.mark.parametrize("allowed", [[], ["--overwrite"]])
@pytest.mark.parametrize("link", [None, Path.symlink_to, Path.hardlink_to])
def test_nothing_but_its_own_result_ever_replaces_a_photo(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    allowed: list[str],
    link: Callable[[Path, Path], None] | None,
) -> None:
    one = photo(tmp_path / "one.png")
    target = one
    if link:
        target = tmp_path / "other.png"
        link(target, one)
    before = contents(tmp_path)
    assert run(one, "-o", tmp_path / "out.png", option, target, *allowed) == 2
    assert contents(tmp_path) == before
    (line,) = capsys.readouterr().err.splitlines()
    assert "is the photo" in line


@pytest.mark.parametrize(
    "options",
    [
        ("-o", "out.png", "--compare", "out.png"),
        ("-o", "out.png", "--report", "folder/../out.png"),
        ("-o", "out.png", "--masks", "s.png", "--compare", "s.png"),
        ("-o", "nowhere.png", "--compare", "none.png"),
        ("-o", "folder/s.png", "--compare", "link/s.png"),
        ("--list-faces", "s.png", "--compare-presets", "s.png"),
        ("one.png", "-o", "new", "--report", "new/photo.png"),
        ("one.png", "-o", "new", "--compare", "new", "--report", "new/photo.png.png"),
        ("one.png", "-o", "new", "--report", "new"),
    ],
)
@pytest.mark.parametrize("allowed", [[], ["--overwrite"]])
def test_two_things_are_never_written_to_one_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    allowed: list[str],
) -> None:
    photo(tmp_path / "photo.png")
    photo(tmp_path / "one.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "nowhere.png").symlink_to("none.png")
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    assert run("photo.png", *options, *allowed) == 2
    assert contents(tmp_path) == before
    (line,) = capsys.readouterr().err.splitlines()
    assert "would be one file" in line or "would also have to be a folder" in line


def test_the_config_file_and_the_detector_are_inputs_too(tmp_path: Path) -> None:
    one = photo(tmp_path / "one.png")
    config = tmp_path / "c.json"
    config.write_text('{"grain": true}')
    before = contents(tmp_path)
    outputs = ("-o", tmp_path / "out.png", "--config", config, "--report", config)
    assert run(one, *outputs, "--overwrite") == 2
    assert contents(tmp_path) == before


def test_an_existing_report_sheet_or_mask_is_kept_unless_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = photo(tmp_path / "one.png")
    for option, name in (("--report", "r.json"), ("--compare", "s.png"), ("--masks", "m.png")):
        (tmp_path / name).write_text("mine")
        assert run(one, "-o", tmp_path / "out.png", option, tmp_path / name) == 2
        assert f"{name} exists: name another file, or allow it with --overwrite" in capsys.readouterr().err
        assert (tmp_path / name).read_text() == "mine"
        assert not (tmp_path / "out.png").exists()
    assert run(one, "-o", tmp_path / "out.png", "--report", tmp_path / "r.json", "--overwrite") == 0
    assert json.loads((tmp_path / "r.json").read_text())["photos"]


def test_a_photo_may_be_replaced_by_its_own_result_but_not_by_anothers(tmp_path: Path) -> None:
    album = tmp_path / "album"
    photo(album / "me.png", 1)
    photo(album / "me.gif", 2)
    gif = (album / "me.gif").read_bytes()
    assert run(album, "-o", album) == 2
    assert run(album, "-o", album, "--overwrite") == 0
    assert sorted(path.name for path in album.iterdir()) == ["me-2.png", "me.gif", "me.png"]
    assert np.array(Image.open(album / "me.png")).max() == 1
    assert (album / "me.gif").read_bytes() == gif


def test_names_that_the_file_system_takes_for_one_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spelled = [tmp_path / name for name in ("Zoe\u0308.png", "zo\u00eb.PNG")]
    targets = [Target(path) for path in spelled]
    for folding in (exactly, folded):
        monkeypatch.setattr(runtime.commands.same_file, "folding_of", lambda folder, folding=folding: folding)
        if folding is exactly:
            check_targets([], targets, overwrite=True)
        else:
            with pytest.raises(PhotoError, match="would be one file"):
                check_targets([], targets, overwrite=True)
    album = tmp_path / "album"
    photo(album / "IMG.PNG", 1)
    photo(album / "img.png", 2)
    if len(list(album.iterdir())) == 2:
        assert run(album, "-o", tmp_path / "out", "--compare", tmp_path / "sheets") == 0
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["IMG.PNG", "img-2.png"]
        assert len(list((tmp_path / "sheets").iterdir())) == 2


def test_asking_how_a_folder_compares_names_leaves_nothing_there(tmp_path: Path) -> None:
    folding = folding_of(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").touch()
    assert (folding("a") == folding("A")) == (tmp_path / "A").exists()


def test_what_is_read_may_be_read_twice_and_what_is_kept_may_be_linked(tmp_path: Path) -> None:
    one, two = photo(tmp_path / "one.png"), tmp_path / "two.png"
    two.hardlink_to(one)
    assert identities(one) & identities(two)
    sources = [Source(one), Source(two)]
    done = photo(tmp_path / "done.png")
    (tmp_path / "done-2.png").hardlink_to(done)
    kept = [Target(done, kept=True), Target(tmp_path / "done-2.png", kept=True)]
    check_targets(sources, kept, overwrite=False)
    with pytest.raises(PhotoError, match="would be one file"):
        check_targets(sources, [*kept, Target(done, "the report", kept=True)], overwrite=False)
