"""Damaged files: whole pictures are read, cut ones refused unless they are accepted."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from skimage import data

from base.errors import PhotoError
from runtime.commands.remarks import file_remarks
from runtime.photo.reader import read_photo
from runtime.restore import main
from runtime.watch import main as watch

PORTRAIT = np.asarray(Image.fromarray(data.astronaut()[:400, 60:440]).resize((190, 200)))
KINDS = [
    {},
    {"progressive": True},
    {"subsampling": 2, "restart_marker_rows": 1},
    {"quality": 100, "optimize": True},
]


def coded(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PORTRAIT).save(buffer, "JPEG", **({"quality": 92} | options))
    return buffer.getvalue()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("tail", [b"", b"\xff", b"\0" * 7, b"\0" * 4096])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read_whole(
    tmp_path: Path, options: dict[str, object], tail: bytes
) -> None:
    whole = coded(**options)
    photo = read_photo(written(tmp_path / "a.jpg", whole[:-2] + tail))
    np.testing.assert_array_equal(photo.pixels, np.asarray(Image.open(io.BytesIO(whole))))
    assert not photo.source.damaged


def test_a_grey_one_too(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PORTRAIT[..., 0]).save(buffer, "JPEG")
    assert read_photo(written(tmp_path / "a.jpg", buffer.getvalue()[:-2])).source.grey


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("lost", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("zeros", [False, True])
def test_one_that_lacks_samples_is_refused_and_the_option_named(
    tmp_path: Path, options: dict[str, object], lost: float, zeros: bool
) -> None:
    whole = coded(**options)
    kept = int(len(whole) * (1 - lost))
    path = written(tmp_path / "cut.jpg", whole[:kept] + bytes(zeros * (len(whole) - kept)))
    with pytest.raises(PhotoError, match=r"cut\.jpg is damaged or cut short: .* --accept-damaged"):
        read_photo(path)


def test_a_progressive_one_cut_between_two_scans_is_refused(tmp_path: Path) -> None:
    whole = coded(progressive=True)
    last_scan = whole.rindex(b"\xff\xda")
    table = whole.rindex(b"\xff\xc4", 0, last_scan)
    for end in (last_scan, table):
        with pytest.raises(PhotoError, match="--accept-damaged"):
            read_photo(written(tmp_path / "cut.jpg", whole[:end]))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".gif", ".tif"])
def test_accepted_what_decodes_of_a_cut_photo_is_read_and_that_is_said(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(PORTRAIT).save(path)
    whole = read_photo(path).pixels
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    with pytest.raises(PhotoError, match="--accept-damaged"):
        read_photo(path)
    photo = read_photo(path, accept_damaged=True)
    assert photo.source.damaged
    assert photo.pixels.shape == PORTRAIT.shape
    rows = (photo.pixels == whole).all(axis=(1, 2))
    assert 0.4 < rows.mean() < 1
    assert rows[:60].all() or rows[-60:].all()  # a BMP begins at the bottom
    said = "the file is damaged or cut short; what can be read of it was restored"
    assert list(file_remarks(photo, tmp_path / "out.png")) == [said]
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_accepting_changes_nothing_for_whole_photos(tmp_path: Path) -> None:
    photo = read_photo(written(tmp_path / "a.jpg", coded()), accept_damaged=True)
    assert not photo.source.damaged


@pytest.mark.parametrize("content", [b"\xff\xd8\xff", b"dear diary", coded()[:300]])
def test_what_has_no_picture_is_refused_all_the_same(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(PhotoError) as error:
        read_photo(written(tmp_path / "a.jpg", content), accept_damaged=True)
    assert "--accept-damaged" not in str(error.value)


# On the command line and in the hot folder


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return written(tmp_path / "in" / "cut.jpg", coded()[: int(len(coded()) * 0.9)])


def test_the_command_refuses_a_cut_photo_and_restores_it_when_asked(
    tiny_package: Path, cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [str(cut), "-o", str(tmp_path / "out.jpg"), "--model", str(tiny_package), "--threads", "1"]
    assert main(said) == 2
    assert "--accept-damaged" in capsys.readouterr().err
    assert not (tmp_path / "out.jpg").exists()
    assert main([*said, "--accept-damaged"]) == 0
    assert "cut.jpg: the file is damaged or cut short" in capsys.readouterr().err
    assert read_photo(tmp_path / "out.jpg").pixels.shape == PORTRAIT.shape


def test_the_hot_folder_too(tiny_package: Path, cut: Path, tmp_path: Path) -> None:
    said = ["--once", "--settle", "0", "--model", str(tiny_package), "--threads", "1"]
    assert watch([str(cut.parent), str(tmp_path / "out"), *said]) == 0
    reason = (tmp_path / "out" / "failed" / "cut.jpg.json").read_text()
    assert "--accept-damaged" in reason
    (tmp_path / "out" / "failed" / "cut.jpg").rename(cut)
    assert watch([str(cut.parent), str(tmp_path / "out2"), *said, "--accept-damaged"]) == 0
    assert (tmp_path / "out2" / "cut.jpg").is_file()
