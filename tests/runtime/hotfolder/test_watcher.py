"""Every photo is done once, under a name that is nobody's, or failed with its reason."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from runtime.hotfolder import journal
from runtime.hotfolder.clock import Clock
from runtime.hotfolder.preset_folders import preset_by_folder
from runtime.hotfolder.status import Status
from runtime.settings.resolved import ResolvedSettings
from runtime.settings.settings import RestoreSettings


def test_what_is_there_at_the_start_is_restored_and_moved_to_done(hot) -> None:
    hot.put("a.png", 1)
    hot.put("b/c.png", 2)
    (hot.photos / "notes.txt").write_text("no photo")
    original = (hot.photos / "a.png").read_bytes()
    status = hot.work()
    assert hot.results() == {"a.png": 1, "b/c.png": 2}
    assert hot.done() == ["a.png", "b/c.png"]
    assert (hot.output / "done" / "a.png").read_bytes() == original
    assert (hot.waiting(), hot.left_over(), hot.failed()) == (["notes.txt"], [], [])
    assert (status.done, status.state, dict(status.failures)) == (2, "stopped", {})


def test_originals_that_are_left_are_restored_once_even_if_touched(hot) -> None:
    first = hot.put("a.png", 1)
    assert hot.work(originals="leave").done == 1
    assert hot.work(originals="leave").done == 0
    for date in (1, -460_000_000):  # also the year in which an old photo was taken
        os.utime(first, (date, date))
        assert hot.work(originals="leave").done == 0
    shutil.copy(first, hot.photos / "copy")
    first.unlink()
    (hot.photos / "copy").rename(first)
    assert hot.work(originals="leave").done == 0
    hot.put("a.png", 2)
    assert hot.work(originals="leave").done == 1
    assert hot.results() == {"a.png": 1, "a-2.png": 2}
    assert (hot.waiting(), hot.done()) == (["a.png"], [])


def test_originals_left_earlier_are_moved_on_request_without_a_new_result(hot) -> None:
    hot.put("a.png")
    hot.work(originals="leave")
    assert hot.work(originals="move").done == 0
    assert (hot.results(), hot.done(), hot.waiting()) == ({"a.png": 0}, ["a.png"], [])


def test_the_same_photo_put_in_again_is_another_delivery_beside_the_first(hot) -> None:
    for _ in range(3):
        hot.put("a.png", 1)
        hot.work()
    assert hot.results() == {"a.png": 1, "a-2.png": 1, "a-3.png": 1}
    assert hot.done() == ["a-2.png", "a-3.png", "a.png"]


def test_another_photo_of_the_same_name_is_numbered_as_its_original_is(hot) -> None:
    for shade in (1, 2):
        hot.put("a.png", shade)
        hot.work()
        (hot.output / "a.png").unlink(missing_ok=True)  # somebody fetches what has appeared
    assert hot.results() == {"a-2.png": 2}
    hot.put("a.png", 3)
    hot.work()
    assert hot.results() == {"a-2.png": 2, "a-3.png": 3}
    assert hot.done() == ["a-2.png", "a-3.png", "a.png"]


def test_photos_whose_results_would_have_one_name_get_two(hot) -> None:
    hot.put("a.gif", 100)
    hot.put("a.png", 2)
    hot.put("a.jpg", 3)
    hot.work()
    assert sorted(hot.results()) == ["a-2.png", "a.jpg", "a.png"]
    assert hot.results()["a-2.png"] == 2
    assert hot.done() == ["a-2.png", "a.gif", "a.jpg"]


def test_a_file_that_somebody_else_has_put_into_the_output_stays(hot) -> None:
    hot.put("a.png", 1)
    hot.output.mkdir()
    (hot.output / "a.png").write_bytes(b"theirs")
    (hot.output / "b").write_bytes(b"theirs")  # where a folder is wanted
    hot.put("b/c.png", 2)
    hot.work()
    assert (hot.output / "a.png").read_bytes() == (hot.output / "b").read_bytes() == b"theirs"
    (hot.output / "a.png").unlink()
    (hot.output / "b").unlink()
    assert hot.results() == {"a-2.png": 1, "b-2/c.png": 2}


def test_a_photo_may_be_a_folder_for_the_next(hot) -> None:
    hot.put("a.png", 1)
    hot.work()
    hot.put("a.png/b.png", 2)
    hot.work()
    assert hot.results() == {"a.png": 1, "a-2.png/b.png": 2}


def test_what_is_no_photo_fails_with_its_reason_and_its_original(hot) -> None:
    for content in (b"hello", b"again"):
        (hot.photos / "a.jpg").write_bytes(content)
        (hot.photos / "phone.heic").write_bytes(content)
        (hot.photos / "empty.png").touch()
        status = hot.work()
        assert dict(status.failures) == {"photo": 3}
    assert [name for name in hot.failed() if name.startswith("a")] == [
        *("a-2.jpg", "a-2.jpg.json", "a.jpg", "a.jpg.json"),
    ]
    assert (hot.output / "failed" / "a-2.jpg").read_bytes() == b"again"
    told = json.loads((hot.output / "failed" / "a.jpg.json").read_text())
    assert (told["photo"], told["cause"]) == ("a.jpg", "photo")
    assert "not a JPEG" in told["reason"]
    assert (hot.results(), hot.waiting(), hot.left_over()) == ({}, [], [])


def test_a_left_photo_that_failed_is_copied_to_failed_and_not_tried_again(hot) -> None:
    (hot.photos / "a.jpg").write_bytes(b"hello")
    assert dict(hot.work(originals="leave").failures) == {"photo": 1}
    assert dict(hot.work(originals="leave").failures) == {}
    assert hot.failed() == ["a.jpg", "a.jpg.json"]
    assert hot.waiting() == ["a.jpg"]


@pytest.mark.parametrize(
    "name", ["line\nend.png", " .png", "a b.png", "x" * 251 + ".png", "-rf.png", "%s.png"]
)
def test_any_name_is_delivered_and_can_be_again(hot, name: str) -> None:
    for shade in (1, 2):
        hot.put(name, shade)
        hot.work()
    assert sorted(hot.results().values()) == [1, 2]
    assert len(hot.done()) == 2


def test_a_name_that_is_not_utf_8_is_delivered_and_can_fail(hot) -> None:
    try:
        hot.put(os.fsdecode(b"caf\xe9.png"))
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    (hot.photos / os.fsdecode(b"bad\xe9.png")).write_text("hello")
    hot.work()
    assert [os.fsencode(name) for name in hot.results()] == [b"caf\xe9.png"]
    (reason,) = (hot.output / "failed").glob("*.json")
    assert json.loads(reason.read_text())["photo"] == "bad\\udce9.png"


def test_links_hidden_files_and_reserved_folders_are_passed_over(hot, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    (hot.photos / "link.png").symlink_to(tmp_path / "secret.png")
    (hot.photos / "folder").symlink_to(tmp_path)
    for name in (".hidden.png", ".trash/a.png", "done/a.png", "Failed/a.png"):
        hot.put(name)
    os.mkfifo(hot.photos / "pipe.png")
    hot.work()
    assert hot.results() == {}
    assert (tmp_path / "secret.png").exists()
    assert hot.entries() == []


def test_folders_named_for_presets_have_those_and_others_the_default(hot, portrait) -> None:
    seen: dict[str, RestoreSettings] = {}
    for name in ("a.png", "film-scan/a.png", "film-scan/deeper/a.png", "holiday/a.png"):
        hot.put(name)
    default = ResolvedSettings(RestoreSettings(upscale=2))
    film = ResolvedSettings(RestoreSettings(grain=True))
    by_folder = preset_by_folder({"film-scan": film}, default)

    def settings_for(path: Path) -> ResolvedSettings:
        seen[str(path)] = by_folder(path).settings
        return by_folder(path)

    hot.work(settings_for=settings_for)
    assert seen == {
        "a.png": default.settings,
        "film-scan/a.png": film.settings,
        "film-scan/deeper/a.png": film.settings,
        "holiday/a.png": default.settings,
    }
    with Image.open(hot.output / "a.png") as large, Image.open(hot.output / "film-scan" / "a.png") as same:
        assert (large.size, same.size) == ((80, 60), (40, 30))


@pytest.mark.parametrize("folder", ["film-scan", "Film-Scan", "FILM-SCAN", "film-scan/2024/May"])
def test_folders_are_named_for_presets_without_regard_to_case(folder: str) -> None:
    film, warnings = ResolvedSettings(RestoreSettings(grain=True), preset="film-scan"), []
    settings_for = preset_by_folder(
        {"film-scan": film}, ResolvedSettings(), lambda *said: warnings.append(said)
    )
    assert settings_for(Path(folder, "a.png")) is film
    assert warnings == []


def test_a_preset_of_just_this_name_comes_before_one_in_another_case() -> None:
    presets = {name: ResolvedSettings(preset=name) for name in ("scans", "Scans")}
    settings_for = preset_by_folder(presets, ResolvedSettings())
    assert [settings_for(Path(name, "a.png")).preset for name in ("scans", "Scans")] == ["scans", "Scans"]


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("low-lite", "folder 'low-lite': no such preset; did you mean low-light?"),
        ("lowlight", "did you mean low-light?"),
        ("Low Light", "did you mean low-light?"),
        ("film_scan", "did you mean film-scan?"),
        ("Filmscans", "did you mean film-scan?"),
        ("low-lite/2024", "did you mean low-light?"),
        ("cust7/film-scan", "folder 'cust7/film-scan': only folders directly in the input choose a preset"),
        ("cust7/2024/Low-Light/May", "folder 'cust7/2024/Low-Light': only folders directly"),
        ("odd\nscan/film-scan", "'odd\\nscan/film-scan'"),
    ],
)
def test_a_folder_that_seems_meant_for_a_preset_is_warned_of_once(folder: str, words: str) -> None:
    presets = {name: ResolvedSettings(preset=name) for name in ("standard", "film-scan", "low-light")}
    warnings: list[str] = []
    settings_for = preset_by_folder(presets, ResolvedSettings(), lambda folder, said: warnings.append(said))
    for name in ("a.png", "b.png"):
        assert settings_for(Path(folder, name)).preset == "standard"
    (warning,) = warnings
    assert words in warning
    assert warning.endswith("Its photos have standard")
    assert "\n" not in warning


@pytest.mark.parametrize("folder", ["holiday", "2024", "Müller", "cust7/2024", "scans of Ann", "."])
def test_other_folders_are_not_warned_of(folder: str) -> None:
    warnings: list[object] = []
    presets = dict.fromkeys(
        ("standard", "classic", "film-scan", "low-light", "early-digital"), ResolvedSettings()
    )
    settings_for = preset_by_folder(presets, ResolvedSettings(), lambda *said: warnings.append(said))
    settings_for(Path(folder, "a.png"))
    assert warnings == []


def test_photos_without_a_face_and_warnings_are_counted(hot, portrait) -> None:
    hot.put("a.png")
    Image.fromarray(portrait).save(hot.photos / "b.png")
    status = hot.work()
    assert (status.done, status.no_face) == (2, 1)
    assert status.warnings["implausible-colours"] == 1  # the network's weights are random
    beat = status.as_json()
    assert (beat["done"], beat["no_face"], beat["warnings"]) == (2, 1, dict(status.warnings))


def test_the_queue_counts_all_that_wait_and_not_the_photo_in_progress(hot) -> None:
    status, queue = Status(), []

    def settings_for(path: Path) -> ResolvedSettings:
        queue.append(status.queue)
        return ResolvedSettings()

    for i in range(9):
        hot.put(f"{i}.png", i)
    hot.work(queue=3, status=status, settings_for=settings_for)
    assert queue == [8, 7, 6, 5, 4, 3, 2, 1, 0]


class ADayAtATime(Clock):
    """Each look at this clock is a day after the one before."""

    time = 0.0

    def now(self) -> float:
        self.time += 86_400
        return self.time


def test_the_journal_is_pruned_once_a_day_while_it_works(hot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "HISTORY", 2)
    for i in range(9):
        hot.put(f"{i}.png", i)
    hot.work()
    assert len(hot.entries()) == 9  # nothing was old at the start
    for i in range(9):
        hot.put(f"{i}.png", i)
    hot.work(clock=ADayAtATime())
    assert len(hot.entries()) == 2


def test_more_photos_than_there_are_places_are_all_restored(hot) -> None:
    for i in range(9):
        hot.put(f"{i}.png", i)
    assert hot.work(queue=2).done == 9
    assert hot.work(queue=2, originals="leave").done == 0
    for i in range(9):
        hot.put(f"left {i}.png", i)
    assert hot.work(queue=2, originals="leave").done == 9
    hot.put("z.png", 99)
    assert hot.work(queue=2, originals="leave").done == 1


def test_each_delivered_photo_has_a_sheet_under_a_name_of_its_own(hot, tmp_path: Path, portrait) -> None:
    sheets = tmp_path / "sheets"
    sheets.mkdir()
    Image.fromarray(portrait).save(hot.put("film-scan/a.png"))
    hot.put("b.gif")
    hot.work(compare=sheets)
    names = sorted(str(path.relative_to(sheets)) for path in sheets.rglob("*.png"))
    assert names == ["b.png.png", "film-scan/a.png.png"]
    with Image.open(sheets / "film-scan" / "a.png.png") as sheet:
        assert sheet.width > 2 * portrait.shape[1]
    hot.put("c.gif")
    (sheets / "c.png.png").write_bytes(b"theirs")
    hot.work(compare=sheets)
    assert (sheets / "c.png.png").read_bytes() == b"theirs"
    assert (sheets / "c.png-2.png").exists()


def test_a_photo_is_delivered_even_if_its_sheet_cannot_be_written(
    hot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hot.put("a.png")
    assert hot.work(compare=tmp_path / "unmounted").done == 1
    assert hot.done() == ["a.png"]
    said = capsys.readouterr().err
    assert "a.png: no before/after sheet: cannot write" in said
    assert "No such file or directory" in said
