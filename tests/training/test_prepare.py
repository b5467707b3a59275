"""Photos become aligned portraits; what does not do is counted by reason; nothing is done twice."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from portraits.reading import load_portraits
from runtime.faces.align import TEMPLATES, crop_matrix
from runtime.faces.detect import CenterFaceDetector
from training.__main__ import main
from training.prepare import (
    BLURRED,
    CUT_OFF,
    DUPLICATE,
    INDEX,
    KEPT,
    NO_FACE,
    REASONS,
    SMALL,
    UNREADABLE,
    Filter,
    difference_hash,
    find_photos,
    prepare,
    share_outside,
    sharpness,
)


def save(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, portrait: NDArray[np.uint8]) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    large = np.asarray(cv2.resize(portrait, (1536, 1536), interpolation=cv2.INTER_CUBIC), np.uint8)
    save(folder / "a good.png", large)
    save(folder / "album" / "b copy.jpg", large)
    save(folder / "c soft.png", np.asarray(cv2.GaussianBlur(large, (0, 0), 14), np.uint8))
    save(folder / "d cut.png", np.ascontiguousarray(large[150:, 400:960]))
    save(folder / "e small.png", portrait)
    save(folder / "f sky.png", np.full((300, 400, 3), 200, np.uint8))
    (folder / "g torn.jpg").write_bytes(b"\xff\xd8 not much")
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture(scope="module")
def prepared(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("data") / "portraits"
    assert main(["prepare", str(photos), "-o", str(output)]) == 0
    return output


def test_what_became_of_every_photo_is_known(prepared: Path) -> None:
    decided = json.loads((prepared / INDEX).read_text())["photos"]
    reasons = {key.split("|")[0]: [d["reason"] for d in ds] for key, ds in decided.items()}
    assert reasons == {
        "a good.png": [KEPT],
        "album/b copy.jpg": [DUPLICATE],
        "c soft.png": [BLURRED],
        "d cut.png": [CUT_OFF],
        "e small.png": [SMALL],
        "f sky.png": [NO_FACE],
        "g torn.jpg": [UNREADABLE],
    }


def test_the_portraits_are_aligned_and_fit_for_training(prepared: Path) -> None:
    (crop,) = load_portraits(prepared)
    assert crop.shape == (512, 512, 3)
    (face,) = CenterFaceDetector().detect(crop)
    expected = TEMPLATES["published"] * 512
    assert np.abs(face.landmarks - expected).mean() < 25
    assert np.abs(crop_matrix(face.landmarks, 512) - [[1, 0, 0], [0, 1, 0]])[:, :2].max() < 0.06


def test_a_second_call_does_only_what_is_new(photos: Path, prepared: Path) -> None:
    looked_at: list[int] = []

    class Counting(CenterFaceDetector):
        def detect(self, pixels):  # type: ignore[no-untyped-def]
            looked_at.append(len(pixels))
            return super().detect(pixels)

    ticks: list[None] = []
    index = prepare(find_photos(photos), prepared, Counting(), Filter(), lambda: ticks.append(None))
    assert (looked_at, len(ticks), index.counts[KEPT]) == ([], 7, 1)

    sky = photos / "f sky.png"
    os.utime(sky, ns=(0, 0))  # changed since
    portrait_made = next(prepared.glob("*.png"))
    portrait_made.unlink()  # and a portrait was taken away
    index = prepare(find_photos(photos), prepared, Counting(), Filter(), lambda: None)
    assert looked_at == [1536, 300]
    assert portrait_made.is_file()
    assert sum(index.counts.values()) == 7


def test_the_command_counts_by_reason(
    photos: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", str(photos), "-o", str(prepared)]) == 0
    shown = capsys.readouterr().out
    assert "7 photos" in shown
    assert all(reason in shown for reason in (KEPT, DUPLICATE, BLURRED, CUT_OFF, SMALL, UNREADABLE))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "-o", "out"], "nowhere is not a folder"),
        ([".", "-o", "out"], "no photos in ."),
        (["PHOTOS", "-o", "PREPARED", "--sharpness", "1"], "prepared with other settings"),
        (["PHOTOS", "-o", "out", "--score", "7"], "--score is 7: give 0 to 1"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    told: str,
    photos: Path,
    prepared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"PHOTOS": str(photos), "PREPARED": str(prepared)}
    assert main(["prepare", *(places.get(word, word) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_the_hash_survives_compression_and_brightness_changes_only(
    portrait: NDArray[np.uint8],
) -> None:
    crop = portrait[:256, 90:346]
    _, data = cv2.imencode(".jpg", (crop * 0.8).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 40])
    again = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    apart = Filter().apart
    assert (difference_hash(crop) ^ difference_hash(again)).bit_count() < apart
    assert (difference_hash(crop) ^ difference_hash(crop[:, ::-1].copy())).bit_count() > 2 * apart
    assert difference_hash(crop) >> 64 == 0


@pytest.mark.parametrize(
    ("to_photo", "outside"),
    [
        ([[1, 0, 0], [0, 1, 0]], 0.0),
        ([[1, 0, 128], [0, 1, 0]], 0.25),
        ([[0, -1, 511], [1, 0, 0]], 0.0),
        ([[0.5, 0, -128], [0, 0.5, -128]], 0.75),
        ([[1, 0, 9000], [0, 1, 0]], 1.0),
    ],
)
def test_what_lies_outside_is_a_share_of_the_crop(to_photo: list[list[float]], outside: float) -> None:
    assert share_outside(np.array(to_photo, float), (512, 512, 3)) == pytest.approx(outside, abs=0.02)


def test_sharpness_falls_with_blur_and_not_with_contrast(portrait: NDArray[np.uint8]) -> None:
    crop = np.ascontiguousarray(portrait[:256, 90:346])
    dull = np.asarray(crop // 2 + 60, np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(crop, (0, 0), 3), np.uint8)
    assert sharpness(blurred) < 0.7 * sharpness(crop)
    assert sharpness(dull) == pytest.approx(sharpness(crop), rel=0.1)
    assert len(set(REASONS)) == len(REASONS)
