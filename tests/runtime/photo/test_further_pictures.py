"""Files of several pictures: every page of a TIFF, the first frame of an animation, and a word about it."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from base.errors import PhotoError
from runtime.commands.remarks import file_remarks
from runtime.commands.restored_photo import check_size
from runtime.photo.reader import read_photo
from runtime.photo.writer import left_out, write_photo
from runtime.restore import main

RNG = np.random.default_rng(8)
PAGES = [RNG.integers(0, 256, (20 + i, 30 - i, 3), np.uint8) for i in range(3)]
ANIMATED = "the file is an animation; only its first frame was restored and written"


def save(path: Path, *frames: np.ndarray, **options: object) -> Path:
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(path, save_all=True, append_images=others, **options)
    return path


# Pages


@pytest.mark.parametrize("compression", ["raw", "tiff_deflate", "tiff_lzw", "jpeg"])
def test_every_page_is_read_and_written(tmp_path: Path, compression: str) -> None:
    photo = read_photo(save(tmp_path / "in.tif", *PAGES, compression=compression, dpi=(300, 300)))
    write_photo(tmp_path / "out.tif", photo)
    with Image.open(tmp_path / "in.tif") as before, Image.open(tmp_path / "out.tif") as after:
        assert after.n_frames == before.n_frames == 3
        for number in range(3):
            before.seek(number)
            after.seek(number)
            np.testing.assert_array_equal(np.asarray(after), np.asarray(before.convert("RGB")))
            assert (after.info["compression"] == "raw") == (compression == "raw")
            assert after.info["dpi"] == (300, 300)
            assert after.tag_v2[254] == 2


def test_pages_of_different_kinds_keep_theirs(tmp_path: Path) -> None:
    """Grey, colour with a profile, and 16 bits, each turned another way."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    deep = RNG.integers(0, 65536, (9, 7), np.uint16)
    images = [Image.fromarray(PAGES[0][..., 0]), Image.fromarray(PAGES[1]), Image.fromarray(deep)]
    images[1].encoderinfo = {"icc_profile": profile, "tiffinfo": {274: 6}}
    images[0].save(tmp_path / "in.tif", save_all=True, append_images=images[1:])
    photo = read_photo(tmp_path / "in.tif")
    write_photo(tmp_path / "out.tif", photo)
    again = read_photo(tmp_path / "out.tif")
    for before, after in zip((photo, *photo.pages), (again, *again.pages), strict=True):
        np.testing.assert_array_equal(after.pixels, before.pixels)
        assert (after.source.grey, after.source.icc) == (before.source.grey, before.source.icc)
    assert [page.source.grey for page in (again, *again.pages)] == [True, False, True]
    assert [page.source.icc for page in (again, *again.pages)] == [None, profile, None]
    assert again.pages[0].pixels.shape == (PAGES[1].shape[1], PAGES[1].shape[0], 3)
    assert again.pages[1].pixels.dtype == np.uint16


def test_smaller_copies_and_masks_are_no_pages(tmp_path: Path) -> None:
    images = [Image.fromarray(page) for page in PAGES]
    images[1].encoderinfo = {"tiffinfo": {254: 1}}
    images[2].encoderinfo = {"tiffinfo": {254: 4}}
    images[0].save(tmp_path / "in.tif", save_all=True, append_images=images[1:])
    assert read_photo(tmp_path / "in.tif").pages == ()


def test_pages_are_limited_together(tmp_path: Path) -> None:
    path = save(tmp_path / "in.tif", *[np.zeros((100, 100), np.uint8)] * 5)
    with pytest.raises(PhotoError, match=r"the first 4 pages .* raise --max-megapixels"):
        read_photo(path, max_megapixels=0.035)
    with pytest.raises(PhotoError, match=r"--upscale 2 would make 0\.2 megapixels"):
        check_size(read_photo(path), 2, 0.1)


def test_more_pages_than_a_document_has_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "in.tif", *[np.zeros((1, 1), np.uint8)] * 501)
    with pytest.raises(PhotoError, match="more than 500 pages"):
        read_photo(path)


def test_another_format_has_no_place_for_pages_and_that_is_said(tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path / "in.tif", *PAGES))
    write_photo(tmp_path / "out.png", photo)
    assert left_out(photo, tmp_path / "out.png") == ["pages 2 to 3"]
    np.testing.assert_array_equal(read_photo(tmp_path / "out.png").pixels, PAGES[0])


# Frames


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_of_an_animation_the_first_frame_is_read_and_that_is_said(tmp_path: Path, suffix: str) -> None:
    frames = [PAGES[0], 255 - PAGES[0]]
    photo = read_photo(save(tmp_path / f"in{suffix}", *frames, duration=100, lossless=True))
    assert list(file_remarks(photo, tmp_path / "out.png")) == [ANIMATED]
    if suffix != ".gif":
        np.testing.assert_array_equal(photo.pixels, frames[0])


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".jpg"])
def test_of_a_still_picture_nothing_is_said(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(PAGES[0]).save(tmp_path / f"in{suffix}")
    assert list(file_remarks(read_photo(tmp_path / f"in{suffix}"), tmp_path / "out.png")) == []


def test_a_stereo_picture_is_told_from_a_cameras_preview(tmp_path: Path) -> None:
    path = tmp_path / "in.jpg"
    Image.fromarray(PAGES[0]).save(path, "MPO", save_all=True, append_images=[Image.fromarray(PAGES[1])])
    said = ["the file also holds further pictures, which the result does not have"]
    assert list(file_remarks(read_photo(path), tmp_path / "out.jpg")) == said
    with Image.open(path) as image:
        second = image.mpinfo[0xB002][1]
    data = path.read_bytes()
    entry = struct.pack("<III", 0, second["Size"], second["DataOffset"])
    assert data.count(entry) == 1
    path.write_bytes(data.replace(entry, struct.pack("<I", 0x010001) + entry[4:]))  # a large thumbnail
    assert list(file_remarks(read_photo(path), tmp_path / "out.jpg")) == []


# On the command line


@pytest.mark.parametrize("options", [["--face", "0,1"], ["--upscale", "2"]])
def test_the_faces_of_every_page_are_restored(
    tiny_package: Path, portrait_file: Path, tmp_path: Path, options: list[str]
) -> None:
    with Image.open(portrait_file) as image:
        portrait = np.asarray(image.convert("RGB"))
    two = np.hstack([portrait, portrait])  # two faces; the further pages have one, none, and one
    pages = [two, portrait, np.full((50, 60, 3), 128, np.uint8), portrait[:, ::-1]]
    path, out = save(tmp_path / "in.tif", *pages), tmp_path / "out.tif"
    said = ["--model", str(tiny_package), "--threads", "1", "--report", str(tmp_path / "r.json")]
    assert main([str(path), "-o", str(out), *said, *options]) == 0
    photo = read_photo(out)
    factor = 2 if "2" in options else 1
    changed = []
    for before, after in zip(pages, (photo, *photo.pages), strict=True):
        assert after.pixels.shape[:2] == (factor * before.shape[0], factor * before.shape[1])
        changed.append(not np.array_equal(after.pixels, before))
    assert changed == [True, True, factor == 2, True]
    (entry,) = json.loads((tmp_path / "r.json").read_text())["photos"]
    assert [(face.get("page", 1), face["index"]) for face in entry["faces"]] == [
        (1, 0),
        (1, 1),
        (2, 0),
        (4, 0),
    ]
    assert all(face["passes"] for face in entry["faces"])
